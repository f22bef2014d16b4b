"""Text to ids and back by characters."""

from shared.errors import UserError
from shared.text.base import Streamer, Tokenizer
from shared.text.portions import portions
from shared.text.signs import similar_signs, visible


class CharTokenizer(Tokenizer):
    """One token a character: the smallest vocabulary and the longest sequences."""

    name = "char"
    unit = "character"

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.ids = {character: index for index, character in enumerate(characters)}
        self.vocab_size = len(characters)
        self.newline_id = self.ids["\n"]

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None, held_out: str = "") -> "CharTokenizer":
        r"""The characters of the text, in the order of their code points, and the newline.

        Those that only the held-out text has get a place, too. The model learns nothing of them, but is measured on
        every character, as it is elsewhere; one sign for all that is unknown would make the text easier.

        >>> CharTokenizer.train("to be", held_out="or").characters
        '\n beort'
        """
        found = {"\n", *held_out}
        for portion in portions(text, "finding characters"):
            found.update(portion)
        characters = "".join(sorted(found))
        if vocab_size is not None and vocab_size < len(characters):
            raise UserError(
                f"the text has {len(characters)} different characters, more than a vocabulary of {vocab_size}; "
                "leave the vocabulary size out, or use the word or bpe tokenizer"
            )
        return cls(characters)

    def encode(self, text: str) -> list[int]:
        """Text -> ids; a character that the vocabulary lacks is left out, which `check_prompt` tells.

        >>> CharTokenizer.train("to be").encode("be❤t")
        [2, 3, 5]
        """
        return [self.ids[character] for character in text if character in self.ids]

    def streamer(self) -> Streamer:
        return Streamer(self.characters)

    def glyph(self, token: int) -> str:
        return visible(self.characters[token])

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The unknown characters, each with known ones that look or mean the same.

        >>> CharTokenizer.train("cafe").check_prompt("café")
        [('é', ['e'])]
        """
        unknown = dict.fromkeys(character for character in text if character not in self.ids)
        return [(character, similar_signs(character, self.ids)) for character in unknown]

    def to_dict(self) -> dict:
        return {"name": self.name, "characters": self.characters}
