// Text to token ids and back in the browser, as in shared/text: by words, characters or byte pairs.
//
// `encode(text)` returns pieces {id, text}: the id, and what the reader wrote there. `streamer()` returns a function that
// takes one id at a time and gives the text that can be shown now.

"use strict";

// Python's \s, \w and \d, which JavaScript's differ from.
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LETTER = "[\\p{L}\\p{N}]";
const WORDLY = "\\p{L}\\p{N}_";
const NOT_DIGIT = "[[\\p{L}\\p{N}]--\\p{Nd}]";  // a letter, or a number that is no digit

const MARKS = "[\\p{M}--[\\u{20000}-\\u{10ffff}]]";
const EXTENDERS = "[\\p{M}\\u{1f3fb}-\\u{1f3ff}\\u{e0020}-\\u{e007f}\\u{e0100}-\\u{e01ef}]";
const INSIDE = `[\\xad\\u200c\\u200d${MARKS}]`;
const LETTERS = `${LETTER}+(?:${INSIDE}${LETTER}*)*`;
const JOINER = "(?:['’‐‑·‧׳״\\-]|_+|(?<=\\p{Nd})[.,:٫٬](?=\\p{Nd}))";
const WORD = `${LETTERS}(?:${JOINER}${LETTERS})*`;
const INITIALS = `(?<![${WORDLY}]\\.)(?:${NOT_DIGIT}\\.){2,}(?!${NOT_DIGIT})`;
const ADDRESS = `https?://[^${SPACE}]*[^${SPACE}.,;:!?\\(\\)\\[\\]\\{\\}'"»”’…<>]`;
const SIGN = `(?:[🇦-🇿]{2}|(?!<unk>)(?:[^${WORDLY}${SPACE}]|_)(?:${EXTENDERS}|\\u200d[^${WORDLY}${SPACE}])*)`;
const BLANK = `[[${SPACE}]--\\n]`;
const SPECIAL = "[\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]";
const WORD_TOKEN = new RegExp(
  `<unk>|${ADDRESS}|${INITIALS}|${WORD}|\\n|(?:(?<!${BLANK})${BLANK}+)?${SIGN}${BLANK}*|(?<!${BLANK})${SPECIAL}(?=${LETTER})`,
  "gv",
);
const OPEN = "\r";  // in place of a blank: the end of a line, which leaves open whether one would stand there

const STRIPPED = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gv");
const ONLY_SPACE = new RegExp(`^[${SPACE}]*$`, "v");
const IS_SPECIAL = new RegExp(`^${SPECIAL}$`, "v");
const BEGINS_AS_WORD = new RegExp(`^${LETTER}`, "v");

const isWord = token => token === "<unk>" || BEGINS_AS_WORD.test(token);
const bare = token => token.replace(STRIPPED, "") || token;

function blanks(token) {
  const sign = bare(token), at = token.indexOf(sign);
  return [token.slice(0, at), token.slice(at + sign.length)];
}

function splitTokens(text) {
  return (OPEN + text.replaceAll("\n", `${OPEN}\n${OPEN}`) + OPEN).match(WORD_TOKEN) || [];
}

// Runs of blanks about a sign become one; at a line's end it is open what stands there.
function oneBlank(token) {
  const one = run => run.includes(OPEN) ? OPEN : IS_SPECIAL.test(run) ? run : run ? " " : "";
  const [before, after] = blanks(token).map(one);
  return before + bare(token) + after;
}

// Of the known forms of a sign the one whose blanks contradict this form's least, of equals the first.
function closest(form, known) {
  const about = blanks(form);
  const contradictions = other => blanks(other).filter((there, side) => about[side] !== OPEN && about[side] !== there).length;
  return known.reduce((best, other) => contradictions(other) < contradictions(best) ? other : best);
}

class WordTokenizer {
  constructor({words, keeps_blanks = false}) {
    Object.assign(this, {words, keepsBlanks: keeps_blanks, forms: new Map(words.map((word, id) => [word, id]))});
    this.variants = new Map();
    for (const word of words) {
      if (!this.variants.has(bare(word))) this.variants.set(bare(word), []);
      this.variants.get(bare(word)).push(word);
    }
    this.unknown = 0;
  }

  encode(text) {
    const pieces = splitTokens(text).map(token => ({id: this.find(token), text: bare(token)}));
    return pieces.filter(({id}) => id !== null);
  }

  find(token) {
    let form = oneBlank(token);
    if (!this.forms.has(form)) form = closest(form, this.variants.get(bare(form)) ?? [""]);
    if (form) return this.forms.get(form);
    return ONLY_SPACE.test(token) ? null : this.unknown;
  }

  glyph(id) {
    return visible(this.words[id]);
  }

  streamer() {
    return this.keepsBlanks ? spacedStreamer(this.words) : printStreamer(this.words);
  }
}

class CharTokenizer {
  constructor({characters}) {
    this.characters = [...characters];
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
    this.unknown = null;
  }

  encode(text) {
    return [...text].map(text => ({id: this.ids.get(text), text})).filter(({id}) => id !== undefined);
  }

  glyph(id) {
    return visible(this.characters[id]);
  }

  streamer() {
    return id => this.characters[id];
  }
}

const NO_DIGIT_LETTERS = `${NOT_DIGIT}+(?:'${NOT_DIGIT}+)*`;
const CHUNK = new RegExp(
  ` ?'?${NO_DIGIT_LETTERS}| ?\\p{Nd}+| ?(?:[^${WORDLY}${SPACE}]|_)+|[${SPACE}]+?(?= [^${SPACE}])|[${SPACE}]+`, "gv");

class BPETokenizer {
  constructor({merges}) {
    this.mergedId = new Map(merges.map(([left, right], index) => [`${left} ${right}`, 256 + index]));
    this.bytes = Array.from({length: 256}, (_, value) => [value]);
    for (const [left, right] of merges) this.bytes.push([...this.bytes[left], ...this.bytes[right]]);
    this.unknown = null;
  }

  encode(text) {
    const ids = (text.match(CHUNK) || []).flatMap(chunk => this.join([...new TextEncoder().encode(chunk)]));
    return ids.map(id => ({id, text: this.glyph(id)}));
  }

  // Join neighbours as long as any pair is known, the pair that was learned first before the others.
  join(ids) {
    for (;;) {
      let first = Infinity;
      for (let i = 0; i + 1 < ids.length; i++) {
        first = Math.min(first, this.mergedId.get(`${ids[i]} ${ids[i + 1]}`) ?? Infinity);
      }
      if (first === Infinity) return ids;
      const joined = [];
      for (let i = 0; i < ids.length; i++) {
        const here = i + 1 < ids.length && this.mergedId.get(`${ids[i]} ${ids[i + 1]}`) === first;
        joined.push(here ? first : ids[i]);
        if (here) i++;
      }
      ids = joined;
    }
  }

  glyph(id) {
    try {
      return visible(new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(Uint8Array.from(this.bytes[id])));
    } catch {  // part of a character
      return "0x" + this.bytes[id].map(byte => byte.toString(16).padStart(2, "0")).join("");
    }
  }

  streamer() {
    const decoder = new TextDecoder("utf-8", {ignoreBOM: true});
    return id => decoder.decode(Uint8Array.from(this.bytes[id]), {stream: true});
  }
}

const TOKENIZERS = {word: WordTokenizer, char: CharTokenizer, bpe: BPETokenizer};
const buildTokenizer = saved => new TOKENIZERS[saved.name](saved);

// Signs in place of what cannot be seen.
const INVISIBLE = {" ": "␣", "\n": "↵", "\t": "→"};
const UNPRINTABLE = /[\p{C}\p{Z}]/v;
function visible(text) {
  const sign = one => INVISIBLE[one]
    ?? (UNPRINTABLE.test(one) ? "U+" + one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") : one);
  const shown = [...text].map(sign).join("");
  return new RegExp(`^${MARKS}`, "v").test(shown) ? "◌" + shown : shown;
}

// ------------------------------------------------------------------------------- words and signs, laid end to end again

function spacedStreamer(words) {
  let last = "\n", after = "";
  return id => {
    const word = words[id], [wantsBefore, wantsAfter] = blanks(word);
    const atEnd = word === "\n" || last === "\n";
    const blank = isWord(word) && isWord(last) ? " " : atEnd ? "" : after || wantsBefore;
    [last, after] = [word, wantsAfter];
    return blank + bare(word);
  };
}

const ENDS = new Set(",.;:!?)]}”…%"), BEGINS = new Set("([{“‘«¿¡$£€#"), HYPHENS = new Set("-‐‑–—/");
const PAIRED = new Set("\"_"), APOSTROPHES = new Set("'’"), JOINERS = new Set("'’‐‑-");
const CUT_AT_THE_END = new Set(["a", "ha", "i", "o", "th", "wi"]);
const CUT_AT_THE_START = new Set(("em fore gainst mongst scape t tis twas tween twere twill twixt ere twould").split(" "));
const CLINGS = new RegExp(`^(?:${EXTENDERS}|\\u200d)`, "v");

// The rules of English print, as in shared/text/spacing.py.
function printStreamer(words) {
  let last = "\n", tight = true, touchesWord = false, quoteBegan = false;
  const opened = new Set();

  function apostropheOpens() {
    if (tight) return true;
    if (!isWord(last)) return !opened.has("'");
    if (CUT_AT_THE_END.has(last.toLowerCase())) return false;
    const plural = [...last].length > 4 && last.endsWith("s");
    return !plural && !opened.has("'");
  }

  function openOrClose(sign, opens) {
    if (PAIRED.has(sign)) {
      if (!opened.delete(sign)) opened.add(sign);
      return;
    }
    quoteBegan = opens;
    if (!opens && !CUT_AT_THE_END.has(last.toLowerCase())) opened.delete("'");
  }

  function spaces(word) {  // -> [a space may stand before this word, none may stand after it]
    if (word === "\n") {
      if (last === "\n") opened.clear();
      quoteBegan = false;
      return [false, true];
    }
    if (isWord(word)) {
      if (quoteBegan && !CUT_AT_THE_START.has(word.toLowerCase())) opened.add("'");
      quoteBegan = false;
      return [true, false];
    }
    if (APOSTROPHES.has(word) || PAIRED.has(word)) {
      const opens = APOSTROPHES.has(word) ? apostropheOpens() : !opened.has(word);
      openOrClose(word, opens);
      return [opens, opens];
    }
    if (HYPHENS.has(word)) return [false, true];
    if (word === "‘") opened.add("'");
    return [!ENDS.has(word), BEGINS.has(word)];
  }

  return id => {
    const word = words[id], [spaceBefore, tightAfter] = spaces(word);
    const merges = (isWord(word) && touchesWord) || CLINGS.test(word);
    const space = spaceBefore && (!tight || merges) ? " " : "";
    touchesWord = JOINERS.has(word) && isWord(last) && !space;
    [last, tight] = [word, tightAfter];
    return space + word;
  };
}
