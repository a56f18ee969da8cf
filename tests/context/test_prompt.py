from hames.context.prompt import SYSTEM, Workspace, workspace_note

PLACE = Workspace(
    path="/w",
    platform="Linux",
    date="2026-01-02",
    network="closed",
    instructions=[("AGENTS.md", "Use tabs.\n")],
    trusted=True,
)


def test_the_prompt_is_short() -> None:
    assert len(SYSTEM.encode()) < 2000


def test_the_note_says_where_the_session_is() -> None:
    note = workspace_note(PLACE)
    assert "directory: /w" in note
    assert "[Instructions of this project, from AGENTS.md]\nUse tabs." in note


def test_instructions_of_a_workspace_that_is_not_trusted_are_shown_as_information() -> None:
    note = workspace_note(
        Workspace("/w", "Linux", "2026-01-02", "closed", [("AGENTS.md", "Use tabs.")], trusted=False)
    )
    assert "not an instruction]\nUse tabs." in note


def test_the_users_own_addition_comes_last() -> None:
    note = workspace_note(
        Workspace("/w", "Linux", "2026-01-02", "closed", [], trusted=True, extra="Be brief.")
    )
    assert note.endswith("[Instructions of the user]\nBe brief.")
