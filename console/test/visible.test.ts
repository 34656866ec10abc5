import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces } from "../src/text/visible";

const shown = (text: string): string => pieces(text).map((piece) => piece.text).join("");

test("ordinary text in any script is left alone", () => {
  for (const text of ["rm -rf build\n\tls", "Größe, naïve, 你好, привет, Ωμέγα, עברית", "a👍b", "π = 3", ""]) assert.equal(shown(text), text);
});

test("what is not seen, turns others round or looks like others is written as its number", () => {
  const cases: Record<string, string> = {
    "a\u202eb": "a\\u{202e}b",
    "\u200b\u2066\ufeff": "\\u{200b}\\u{2066}\\u{feff}",
    "\u001b[2J\r\0": "\\u{001b}[2J\\u{000d}\\u{0000}",
    "p\u0430ypal": "p\\u{0430}ypal",
    "g\u03bf": "g\\u{03bf}",
    "a\u00a0b\u3164": "a\\u{00a0}b\\u{3164}",
    "x\u{e0041}\u{e0100}": "x\\u{e0041}\\u{e0100}",
    "\ud800x": "\\u{d800}x",
  };
  for (const [text, wanted] of Object.entries(cases)) assert.equal(shown(text), wanted);
});

test("a piece says whether it was escaped, so that a written escape is not taken for one", () => {
  assert.deepEqual(pieces("\\u{202e}\u202e"), [
    { text: "\\u{202e}", isEscaped: false },
    { text: "\\u{202e}", isEscaped: true },
  ]);
});
