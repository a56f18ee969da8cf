from hames.core.ids import BlobId
from hames.core.messages import Image, Text
from hames.models.pictures import words_of


def test_words_stand_in_for_a_picture_and_say_why() -> None:
    assert words_of(Text("hello"), "unused") == "hello"
    picture = Image("image/png", BlobId("0" * 64))
    assert words_of(picture, "the model cannot see") == "[image/png picture, not shown: the model cannot see]"
