import pytest

from hames.context.arguments import text_in


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"command": "ls"}', "ls"),
        ("{command: 'ls',}", "ls"),
        ('{"name": "bash", "arguments": {"command": "ls"}}', "ls"),
        ('{"arguments": "ls", "command": "cd"}', "cd"),
        ('{"command": 7}', ""),
        ('{"command": "l', ""),
        ("[]", ""),
        ("", ""),
    ],
)
def test_a_text_is_found_in_the_arguments_of_a_call(arguments: str, text: str) -> None:
    assert text_in(arguments, "command") == text
