/**
 * Text whose every character is seen, for what a person decides on.
 *
 * Law: characters that are not seen, turn the order of others round or look like others are written as their number.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]|(?! )\p{Zs}/u;
const ORDINARY = /[\n\t]/;
const WORD = /[\p{L}\p{M}\p{N}_]+/gu;
const LATIN = /\p{Script=Latin}/u;
const ALIKE = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Lisu}]|[\uff01-\uff5e]|[\u{1d400}-\u{1d7ff}]/u;

export interface Piece {
  text: string;
  isEscaped: boolean;
}

export function pieces(text: string): Piece[] {
  const alike = new Set<number>();
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!LATIN.test(word)) continue;
    for (let at = 0; at < word.length; ) {
      const one = String.fromCodePoint(word.codePointAt(at) as number);
      if (ALIKE.test(one)) alike.add(index + at);
      at += one.length;
    }
  }
  const found: Piece[] = [];
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) as number;
    const one = String.fromCodePoint(code);
    const isEscaped = alike.has(at) || (HIDDEN.test(one) && !ORDINARY.test(one));
    const shown = isEscaped ? `\\u{${code.toString(16).padStart(4, "0")}}` : one;
    const last = found.at(-1);
    if (last?.isEscaped === isEscaped) last.text += shown;
    else found.push({ text: shown, isEscaped });
    at += one.length;
  }
  return found;
}
