"""Tests `language.py`: each figure has one sample that misses its goal."""

import unittest

from language import Measured, crate_of

GOOD = """//! Returns the sum.

/// Returns the sum of two numbers.
pub struct Sum {
    parts: Vec<u8>,
}
"""


def figures(text, name="common/core/src/sum.rs"):
    measured = Measured()
    measured.add(name, text)
    return {figure: value for figure, value, _, _ in measured.figures()}


def figure(text, part):
    return next(value for name, value in figures(text).items() if part in name)


def missed(text, name="common/core/src/sum.rs"):
    measured = Measured()
    measured.add(name, text)
    return [
        figure
        for figure, value, relation, goal in measured.figures()
        if not (value <= goal if relation == "<=" else value >= goal) and "have a blank line" not in figure
    ]


class Figures(unittest.TestCase):
    def test_good_sample_misses_nothing(self):
        self.assertEqual(missed(GOOD), [])

    def test_phrases_are_counted_in_comments_only(self):
        self.assertGreater(figure("// It stands here.\n", "stand"), 1)
        self.assertEqual(figure("let stands = 1;\n", "stand"), 0)
        self.assertGreater(figure("// Nobody told whoever said it.\n", "whoever"), 1)
        self.assertGreater(figure("// Nobody told whoever said it.\n", "tell"), 2)
        self.assertGreater(figure("// Nobody told whoever said it.\n", "say"), 5)

    def test_phrases_are_counted_in_the_prose_of_documents(self):
        for text, expected in [("It stands here.\n", True), ("```\nIt stands.\n```\n", False), ("The field `stands`.\n", False)]:
            measured = Measured()
            measured.add_document("README.md", text)
            values = [value for name, value, _, _ in measured.figures() if "stand" in name and "documents" in name]
            self.assertEqual([value > 1 for value in values], [expected], text)

    def test_standard_words_are_counted(self):
        self.assertEqual(figure("// The answer.\n", "returns"), 0)
        self.assertGreater(figure("/// Returns the response.\n", "returns"), 19)

    def test_participles_are_type_names_of_one_word(self):
        self.assertEqual(figure("struct Decided;\nenum Shown {}\n", "participle"), 100)
        self.assertEqual(figure("struct DecidedGroup;\nstruct Shard;\n", "participle"), 0)

    def test_fragments_are_item_comments(self):
        self.assertEqual(figure("/// Its id.\npub id: String,\n", "item comments"), 100)
        self.assertEqual(figure("/// The id of the resource.\npub id: String,\n", "item comments"), 0)

    def test_names_of_tests_are_measured(self):
        text = "#[test]\nfn a_b_c_d_e_f_g_h_i_j() {}\nfn not_a_test_at_all_because_it_has_no_attribute() {}\n"
        self.assertEqual(figure(text, "median"), 10)
        self.assertEqual(figure(text, "maximum"), 10)

    def test_layout_is_measured(self):
        self.assertEqual(figure("a b c d e f g h i j\n", "tokens"), 10)
        self.assertGreater(figure("x" * 101 + "\n", "columns"), 1)
        body = "    step();\n" * 20
        self.assertEqual(figure("fn f() {\n" + body + "}\n", "have a blank line"), 0)
        self.assertEqual(figure("fn f() {\n" + body + "\n    done();\n}\n", "have a blank line"), 100)

    def test_long_files_and_large_functions_are_counted(self):
        self.assertEqual(figure("// line\n" * 400, "files of more"), 0)
        self.assertEqual(figure("// line\n" * 401, "files of more"), 1)
        self.assertEqual(figure("fn f() {\n" + "    a b\n" * 196 + "}\n", "functions of more"), 0)
        self.assertEqual(figure("fn f() {\n" + "    a b\n" * 199 + "}\n", "functions of more"), 1)

    def test_duplicate_types_are_counted_within_a_crate(self):
        measured = Measured()
        for name in ("common/core/src/a.rs", "common/core/src/b/c.rs", "common/aws/src/a.rs"):
            measured.add(name, "struct Place;\n")
        self.assertEqual(dict((figure, value) for figure, value, _, _ in measured.figures())["names of two types of one crate"], 1)

    def test_each_folder_of_tests_is_a_crate(self):
        self.assertEqual(crate_of("tools/local/src/gateway.rs"), "tools/local/src")
        self.assertEqual(crate_of("tools/local/tests/runner/load.rs"), "tools/local/tests")
        self.assertEqual(crate_of("tests/fuzz/fuzz_targets/push_body/world.rs"), "tests/fuzz/fuzz_targets/push_body")
        self.assertEqual(crate_of("tests/fuzz/fuzz_targets/push_body.rs"), "tests/fuzz/fuzz_targets/push_body")


if __name__ == "__main__":
    unittest.main()
