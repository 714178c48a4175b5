#!/usr/bin/env python3
"""Checks the language and the layout of the sources against the goals of CONTRIBUTING.md.

    python .ci/language.py           prints every figure with its goal; exits with 1 if one is missed
    python .ci/language.py --places  prints the places that the figures count, too

The files are those that git tracks. Spelling is checked by `typos`, the length of functions by
clippy.
"""

import re
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS_MAX = 100
FILE_LINES_MAX = 400
TEST_NAME_WORDS_MAX = 7
SHORT_COMMENT_WORDS = 3
LONG_FUNCTION_LINES = 20
FUNCTION_TOKENS_MAX = 400

COMMENT = re.compile(r"(///|//!|//)\s?(.*)")
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[A-Za-z_][A-Za-z0-9_]*|\d[\w.]*|::|->|=>|&&|\|\||[^\s\w]')
FUNCTION = re.compile(r"(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe )*fn (\w+)")
TYPE = re.compile(r"(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union) ([A-Z]\w*)")
TEST = re.compile(r"#\[(?:tokio::)?test|#\[rstest")
IRREGULAR_PARTICIPLES = set(
    "Begun Borne Bound Broken Chosen Found Given Held Kept Known Laid Led Left Lost Made Met Put Read Seen Sent Shown Stood "
    "Taken Thrown Told Won Worn Written".split()
)

# Words for which the field has a standard term, and how often each group may occur in 10,000 words
# of comments.
PHRASES = {
    "stand, stands, stood, standing": ("stand stands stood standing", 1),
    "tell, tells, told": ("tell tells told", 2),
    "say, says, said": ("say says said", 5),
    "whoever, nobody, somebody": ("whoever nobody somebody", 1),
}
STANDARD = ("return returns response responses", 19)


@dataclass
class Measured:
    """What is counted over all files, and where."""

    words: Counter = field(default_factory=Counter)
    document_words: Counter = field(default_factory=Counter)
    lines: int = 0
    long_lines: int = 0
    code_lines: int = 0
    tokens: int = 0
    long_functions: int = 0
    structured_functions: int = 0
    types: Counter = field(default_factory=Counter)
    participles: int = 0
    comments: int = 0
    short_comments: int = 0
    test_words: list = field(default_factory=list)
    long_files: int = 0
    large_functions: int = 0
    places: list = field(default_factory=list)

    def add(self, name, text):
        """Adds one Rust file."""
        lines = text.split("\n")
        self.lines += len(lines)
        if len(lines) - 1 > FILE_LINES_MAX:
            self.long_files += 1
            self.places.append(f"{name}: a file of {len(lines) - 1} lines")
        documentation, is_test = [], False
        for number, line in enumerate(lines):
            place = f"{name}:{number + 1}"
            if len(line) > COLUMNS_MAX:
                self.long_lines += 1
                self.places.append(f"{place}: a line of {len(line)} columns")
            code = line.strip()
            comment = COMMENT.match(code)
            if comment:
                self._comment(comment[2], place)
                if comment[1] == "///":
                    documentation.append(comment[2])
                continue
            if not code:
                continue
            self.code_lines += 1
            self.tokens += len(TOKEN.findall(code))
            if code.startswith("#["):
                is_test = is_test or bool(TEST.match(code))
                continue
            if documentation:
                self._item_comment(" ".join(documentation), place)
                documentation = []
            self._type(code, name, place)
            function = FUNCTION.match(code)
            if function:
                if is_test:
                    self._test(function[1], place)
                is_test = False
                self._layout(lines, number, function[1], place)

    def add_document(self, name, text):
        """Adds the prose of one Markdown file: not its code blocks."""
        is_code = False
        for number, line in enumerate(text.split("\n")):
            if line.lstrip().startswith("```"):
                is_code = not is_code
            if not is_code:
                self._count(re.sub(r"`[^`]*`", "", line), self.document_words, f"{name}:{number + 1}")

    def _comment(self, text, place):
        self._count(text, self.words, place)

    def _count(self, text, words, place):
        for word in re.findall(r"[A-Za-z']+", text):
            words[word.lower()] += 1
            if any(word.lower() in words.split() for words, _ in PHRASES.values()):
                self.places.append(f"{place}: the word '{word}'")

    def _item_comment(self, text, place):
        self.comments += 1
        if len(re.findall(r"[\w'`:]+", text)) <= SHORT_COMMENT_WORDS:
            self.short_comments += 1
            self.places.append(f"{place}: the comment '{text}' is a fragment")

    def _type(self, code, name, place):
        found = TYPE.match(code)
        if not found:
            return
        declared = found[1]
        self.types[(crate_of(name), declared)] += 1
        if self.types[(crate_of(name), declared)] > 1:
            self.places.append(f"{place}: the name {declared} denotes another type of this crate, too")
        if re.fullmatch(r"[A-Z][a-z]+", declared):
            if declared in IRREGULAR_PARTICIPLES or declared.endswith("ed"):
                self.participles += 1
                self.places.append(f"{place}: the type {declared} is named by a participle")

    def _test(self, name, place):
        words = len(name.split("_"))
        self.test_words.append(words)
        if words > TEST_NAME_WORDS_MAX:
            self.places.append(f"{place}: the test name {name} has {words} words")

    def _layout(self, lines, start, name, place):
        indent = re.match(r"\s*", lines[start])[0]
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith(indent + "}")), len(lines))
        code = [line.strip() for line in lines[start : end + 1] if not COMMENT.match(line.strip())]
        tokens = sum(len(TOKEN.findall(line)) for line in code)
        if tokens > FUNCTION_TOKENS_MAX and not lines[start].rstrip().endswith((";", "}")):
            self.large_functions += 1
            self.places.append(f"{place}: the function {name} has {tokens} tokens")
        if end - start < LONG_FUNCTION_LINES:
            return
        self.long_functions += 1
        if any(not line.strip() for line in lines[start:end]):
            self.structured_functions += 1
        else:
            self.places.append(f"{place}: the function {name} has {end - start} lines and no blank line")

    def figures(self):
        """Yields each figure with its value, its comparison (`<=` or `>=`) and its goal."""
        per_10k = lambda words, listed: 10_000 * sum(words[word] for word in listed.split()) / max(1, sum(words.values()))
        percent = lambda part, whole: 100 * part / max(1, whole)
        for name, (listed, goal) in PHRASES.items():
            yield f"'{name}' in 10,000 words of comments", per_10k(self.words, listed), "<=", goal
            yield f"'{name}' in 10,000 words of documents", per_10k(self.document_words, listed), "<=", goal
        yield "'returns, response' in 10,000 words of comments", per_10k(self.words, STANDARD[0]), ">=", STANDARD[1]
        yield "types named by one participle, percent", percent(self.participles, sum(self.types.values())), "<=", 2
        yield f"item comments of {SHORT_COMMENT_WORDS} words or fewer, percent", percent(self.short_comments, self.comments), "<=", 2
        yield "words of a test name, median", statistics.median_high(self.test_words or [0]), "<=", 7
        yield "words of a test name, maximum", max(self.test_words, default=0), "<=", TEST_NAME_WORDS_MAX
        yield "tokens in a line of code, mean", self.tokens / max(1, self.code_lines), "<=", 8.5
        yield f"lines over {COLUMNS_MAX} columns, percent", percent(self.long_lines, self.lines), "<=", 1
        yield (
            f"functions of {LONG_FUNCTION_LINES} lines or more that have a blank line, percent",
            percent(self.structured_functions, self.long_functions),
            ">=",
            80,
        )
        yield f"files of more than {FILE_LINES_MAX} lines", self.long_files, "<=", 0
        yield f"functions of more than {FUNCTION_TOKENS_MAX} tokens", self.large_functions, "<=", 0
        yield "names of two types of one crate", sum(count > 1 for count in self.types.values()), "<=", 0


def crate_of(name):
    """The crate that a file belongs to: each folder of tests is a crate of its own."""
    parts = name.split("/")
    for folder in ("src", "tests", "fuzz_targets"):
        if folder in parts[1:]:
            at = parts.index(folder, 1)
            depth = 2 if folder == "fuzz_targets" else 1
            return "/".join(parts[: at + depth]).removesuffix(".rs")
    return "/".join(parts[:2])


def tracked(root, pattern):
    """The files that git tracks, without those that the work tree has deleted."""
    names = subprocess.run(["git", "ls-files", pattern], cwd=root, check=True, capture_output=True, text=True).stdout.split()
    return [name for name in names if (root / name).exists()]


def main():
    root = Path(__file__).resolve().parent.parent
    measured = Measured()
    for name in tracked(root, "*.rs"):
        measured.add(name, (root / name).read_text())
    for name in tracked(root, "*.md"):
        measured.add_document(name, (root / name).read_text())
    missed = 0
    for name, value, relation, goal in measured.figures():
        is_met = value <= goal if relation == "<=" else value >= goal
        missed += not is_met
        print(f"{'ok    ' if is_met else 'MISSED'} {name}: {value:.2f} ({relation} {goal})")
    if missed or "--places" in sys.argv:
        print("\n".join(measured.places if "--places" in sys.argv else measured.places[:50]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
