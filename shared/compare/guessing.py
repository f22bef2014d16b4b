"""A passage whose words the page's reader guesses against the models: held out, and all of it in the vocabulary."""

from shared.text.tokenizer import Tokenizer

LEAD, GUESSED = 24, 10  # tokens that are read before the first guess, and words to guess


def find_passage(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """The first lines of a held-out text that begin with LEAD known tokens and go on for GUESSED words more.

    An empty list where there is none, or where a token is no word, so that a reader could not guess it by typing.
    """
    if tokenizer.name != "word":
        return []
    begins = [0, *(place + 1 for place, token in enumerate(ids) if token == tokenizer.newline_id)]
    for begin in begins:
        end, words = begin + LEAD, 0
        while end < len(ids) and words < GUESSED:
            words += is_word(tokenizer, ids[end])
            end += 1
        found = ids[begin:end]
        # What is typed in the page must be read as these tokens again.
        whole = words == GUESSED and tokenizer.unk_id not in found
        if whole and tokenizer.encode("".join(pieces(tokenizer, found))) == found:
            return found
    return []


def passage_to_guess(tokenizer: Tokenizer, ids: list[int], counted: list[float]) -> dict | None:
    """The passage as the page shows it: its beginning, then each word with what stands before it.

    counted: the probability that counting gives each token.
    """
    if not ids:
        return None
    texts = pieces(tokenizer, ids)
    words, lead = [], ""
    for place in range(LEAD, len(ids)):
        word = texts[place].lstrip()
        lead += texts[place][: len(texts[place]) - len(word)]
        if is_word(tokenizer, ids[place]):
            words.append({"word": word, "lead": lead, "place": place, "counting": counted[place]})
            lead = ""
        else:
            lead += word
    return {"text": "".join(texts), "before": "".join(texts[:LEAD]), "words": words}


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """The text of each token, with the blank before it."""
    streamer = tokenizer.streamer()
    return [streamer.push(token) for token in ids]


def is_word(tokenizer: Tokenizer, token: int) -> bool:
    """Whether a reader would call a token a word."""
    return tokenizer.decode([token]).strip().isalpha()
