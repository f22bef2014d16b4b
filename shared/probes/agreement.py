"""A word decides the form of one that comes later: subject and verb, this and these, king and he."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from shared.probes.plays import Plays
from shared.probes.questions import SEED, Question, crossed

# Two subjects, and pairs of verbs: one that goes with the first subject, one that goes with the second.
VERBS = {
    ("thou", "you"): "art are, hast have, dost do, shalt shall, wilt will, wert were, canst can, didst did, hadst had, "
    "wouldst would, shouldst should, mayst may",
    ("he", "they"): "is are, was were, hath have, has have, doth do, does do",
    ("she", "they"): "is are, was were, hath have, has have, doth do, does do",
    ("it", "they"): "is are, was were, hath have, has have, doth do, does do",
    ("I", "he"): "am is, have hath, do doth",
}
PERSONS = "king queen, lord lady, man woman, father mother, brother sister, son daughter, husband wife, prince princess"
PERSONS += ", gentleman gentlewoman, boy girl, uncle aunt, duke duchess, nephew niece, master mistress"
HE, SHE = frozenset("he him his himself".split()), frozenset("she her hers herself".split())
SUBJECTS = frozenset("thou you ye I he she it we they who that which what there".split())
SIGNS = frozenset(".:;?!-")  # at which a clause ends, or nearly
POSSESSIVES = frozenset("the my thy his her our your their".split())

FURTHEST = 4  # tokens between subject and verb, or adjectives before a noun, as they are found
PRONOUN_FURTHEST = 63  # tokens between a person and a pronoun, as they are found
ASIDE = 6  # words of one aside, at most
STRETCHED = (4, 8, 16, 32, 64)  # tokens back to which asides bring a word, at least; each equally often
FUNCTION_WORDS = 200  # so many of the most frequent words are no adjectives
# Enough to say that a name is a man's or a woman's: so many pronouns near it, three in four of one sex.
NEAR, PRONOUNS_NEAR, MOST_OF_THEM = 12, 6, 0.75


def both_ways(pairs: dict[tuple[str, str], str]) -> dict[tuple[str, str], tuple[str, str]]:
    """(subject, verb) -> (another subject, the form for it), and back.

    >>> both_ways({("he", "they"): "is are"})
    {('he', 'is'): ('they', 'are'), ('they', 'are'): ('he', 'is')}
    """
    found = {}
    for (one, two), verbs in pairs.items():
        for first, second in (pair.split() for pair in verbs.split(", ")):
            found.setdefault((one, first), (two, second))
            found.setdefault((two, second), (one, first))
    return found


OTHERS = both_ways(VERBS)
VERB_FORMS = frozenset(verb for _, verb in OTHERS)
MEN, WOMEN = ([pair.split()[side] for pair in PERSONS.split(", ")] for side in (0, 1))
OTHER_SEX = dict(zip([*MEN, *WOMEN], [*WOMEN, *MEN]))
SEXED = HE | SHE | OTHER_SEX.keys() | frozenset("sir madam men women".split())


# ---------------------------------------------------------------------------------------------------- subject and verb


def verbs_agree(plays: Plays) -> Iterator[Question]:
    """Subjects with their verbs as they stand, and those beside their verb with asides put between the two as well."""
    chance, words = Random(SEED), plays.words
    asides = find_asides(plays, SUBJECTS | VERB_FORMS)
    for place in range(len(words)):
        subject = subject_of(words, place)
        if subject is None:
            continue
        other, other_verb = OTHERS[uncapitalized(words[subject]), words[place]]
        verbs = (words[place], other_verb)
        yield exchanged(plays, subject, other, words[subject + 1 : place], verbs)
        if place == subject + 1 and asides:
            yield exchanged(plays, subject, other, joined(asides, chance), verbs)


def subject_of(words: list[str], place: int) -> int | None:
    """Where the subject of the verb at a place stands; None where no such verb is, or nothing near that is one."""
    for subject in range(place - 1, max(-1, place - 2 - FURTHEST), -1):
        word = uncapitalized(words[subject])
        if (word, words[place]) in OTHERS:
            return subject
        if word in SUBJECTS or word in VERB_FORMS or word in SIGNS:
            return None
    return None


def find_asides(plays: Plays, banned: frozenset[str]) -> list[list[str]]:
    """What stands between two commas, with the first of them: known words, none of them banned. , my good lord"""
    commas = [place for place, word in enumerate(plays.words) if word == ","]
    found = [plays.words[start:end] for start, end in zip(commas, commas[1:]) if 2 <= end - start <= ASIDE + 1]
    allowed = plays.known - banned
    return [aside for aside in found if all(word.islower() and word in allowed for word in aside[1:])]


def joined(asides: list[list[str]], chance: Random) -> list[str]:
    """One or several asides, with the comma that ends the last: as many as bring what stands before far enough back."""
    least, words = chance.choice(STRETCHED), []
    while len(words) + 2 < least:
        words += chance.choice(asides)
    return [*words, ","]


def exchanged(plays: Plays, cue: int, other: str, between: list[str], answers: tuple[str, str]) -> Question:
    """The word at a place, then another in its stead; after either what stands `between`, and then an answer."""
    before, word = plays.before(cue), plays.words[cue]
    begins = word[0].isupper() if word != "I" else not before or before[-1] in SIGNS | {"\n"}
    other = other[0].upper() + other[1:] if begins else other
    return deciding(plays, cue, (word, other), between, answers)


def deciding(plays: Plays, cue: int, words: tuple[str, str], between: list[str], answers: tuple[str, str]) -> Question:
    """Of two words at a place, each decides for its own answer."""
    before = plays.before(cue)
    contexts = tuple((*before, word, *between) for word in words)
    return crossed(contexts, answers, distance=1 + len(between), source=cue)


def uncapitalized(word: str) -> str:
    """A word as it is written within a sentence; I stays I."""
    return word if word == "I" else word.lower()


# ------------------------------------------------------------------------------------------------------ this and these


def nouns_agree(plays: Plays) -> Iterator[Question]:
    """This or these before a noun as they stand, and those beside their noun with adjectives put between as well."""
    chance, words, plurals = Random(SEED), plays.words, find_plurals(plays)
    others = {("this", noun): ("these", plural) for noun, plural in plurals.items()}
    others |= {("these", plural): ("this", noun) for noun, plural in plurals.items()}
    adjectives = find_adjectives(plays, plurals.keys() | plurals.values())
    for place, noun in enumerate(words):
        for cue in range(place - 1, max(-1, place - 2 - FURTHEST), -1):
            if (words[cue].lower(), noun) in others:
                other, other_noun = others[words[cue].lower(), noun]
                between = words[cue + 1 : place]
                yield exchanged(plays, cue, other, between, (noun, other_noun))
                if not between and adjectives:
                    added = chance.choices(adjectives, k=chance.choice((1, 2, 4)))
                    yield exchanged(plays, cue, other, added, (noun, other_noun))
            if not words[cue].isalpha() or words[cue].lower() in SUBJECTS | VERB_FORMS:
                break


def find_plurals(plays: Plays) -> dict[str, str]:
    """Nouns that the training text has after `this`, whose plurals it has after `these`: day -> days."""
    after = {"this": set(), "these": set()}
    for word, noun in zip(plays.train, plays.train[1:]):
        if word.lower() in after:
            after[word.lower()].add(noun)
    return {noun: noun + "s" for noun in sorted(after["this"]) if noun.islower() and noun + "s" in after["these"]}


def find_adjectives(plays: Plays, nouns: set[str]) -> list[str]:
    """What the held-out plays have between an article or a possessive and a noun."""
    frequent = {word for word, _ in plays.counts.most_common(FUNCTION_WORDS)}
    triples = zip(plays.words, plays.words[1:], plays.words[2:])
    middles = [middle for word, middle, noun in triples if word in POSSESSIVES and noun in nouns]
    return [word for word in middles if word.isalpha() and word in plays.known - nouns - frequent]


# -------------------------------------------------------------------------------------------------------- king and he


def pronouns_agree(plays: Plays) -> Iterator[Question]:
    """A person, then he or she: with a person of the other sex instead, as they stand, and with asides put between."""
    chance, words = Random(SEED), plays.words
    names = sexes_of_names(plays)
    asides = find_asides(plays, SEXED)
    for cue, place in persons_before_pronouns(plays):
        noun, between = words[cue].lower(), words[cue + 1 : place]
        if noun in OTHER_SEX:
            persons = (noun, OTHER_SEX[noun]) if noun in MEN else (OTHER_SEX[noun], noun)
            persons = tuple(map(str.capitalize, persons)) if words[cue][0].isupper() else persons
        elif all(names):
            persons = tuple(map(chance.choice, names))
        else:
            continue
        yield deciding(plays, cue, persons, between, ("he", "she"))
        if asides:
            aside = joined(asides, chance)
            aside = aside[:-1] if between[:1] == [","] else aside
            yield deciding(plays, cue, persons, aside + between, ("he", "she"))


def persons_before_pronouns(plays: Plays) -> Iterator[tuple[int, int]]:
    """Where a person is named, and he or she follows in the same speech, with nothing between that has a sex."""
    names = set(plays.spoken_names)
    for speech in plays.speeches:
        cue = None
        for place in range(speech.first, speech.end):
            word = plays.words[place]
            if word in ("he", "she") and cue is not None and place - cue <= PRONOUN_FURTHEST:
                yield cue, place
            if place in names or word.lower() in SEXED:
                cue = place if place in names or word.lower() in OTHER_SEX else None


def sexes_of_names(plays: Plays) -> tuple[list[str], list[str]]:
    """Names of men and of women: those near which the training text has mostly the pronouns of one sex."""
    persons, he, she = set(plays.persons), Counter(), Counter()
    for place, word in enumerate(plays.train):
        if word in persons:
            near = [other.lower() for other in plays.train[place + 1 : place + 1 + NEAR]]
            he[word] += sum(other in HE for other in near)
            she[word] += sum(other in SHE for other in near)
    told = [name for name in plays.persons if he[name] + she[name] >= PRONOUNS_NEAR]
    shares = {name: he[name] / (he[name] + she[name]) for name in told}
    men = [name for name, share in shares.items() if share >= MOST_OF_THEM]
    return men, [name for name, share in shares.items() if share <= 1 - MOST_OF_THEM]
