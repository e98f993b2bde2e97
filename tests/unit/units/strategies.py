"""Arbitrary names, options, words and texts of unit files."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from inaetics.units.grammar import Option
from inaetics.units.names import SUFFIXES, Name

NAME_CHARACTERS = string.ascii_letters + string.digits + ":_.\\-"

text_without_nul = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)

pieces = st.sampled_from(["a", " ", "\t", "\n", "\r", '"', "'", "\\", ";", "%", "%i", "$", "$a", "${a}", "#", "=", "-"])

words = text_without_nul | st.lists(pieces, max_size=5).map("".join)
"""Words full of what quoting, specifiers and variables give a meaning to; `a` is a variable in the tests."""

names = st.builds(
    Name,
    prefix=st.text(NAME_CHARACTERS, min_size=1, max_size=20),
    instance=st.none() | st.text(NAME_CHARACTERS + "@", max_size=20),
    suffix=st.sampled_from(SUFFIXES),
)

section_names = st.sampled_from(["Unit", "Service", "X-Fleet", "A b", "ü"])
option_names = st.sampled_from(["ExecStart", "Environment", "X-Conflicts", "a.b", "é"])

values = (
    st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=20)
    | st.text(alphabet=" \t\\\"';#[]=ab", max_size=8)
).map(lambda text: text.strip(" \t"))
"""Values of one line, without the blanks around that the grammar does not keep."""


options = st.builds(Option, section=section_names, name=option_names, value=values)

line_ends = st.sampled_from(["\n", "\n", "\r\n"])

lines_that_parse = st.one_of(
    st.builds("{}={}".format, option_names, values),
    st.builds("  {} =  {} \\".format, option_names, values),
    st.builds("[{}]".format, section_names),
    st.builds(" \t{}{}".format, st.sampled_from("#;"), values),
    st.sampled_from(["", "  ", "\\", "\t\\"]),
)

lines_that_may_not = st.sampled_from(["go on", "go on \\", "\f", "\x85", "\u2028", "[", "="]) | values


def _texts(lines: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda start, rows, end: start + "".join(line + line_end for line, line_end in rows) + end,
        st.sampled_from(["[Unit]\n", "\ufeff[Unit]\n", "# c\r\n[Unit]\r\n"]),
        st.lists(st.tuples(lines, line_ends), max_size=12),
        lines,
    )


unit_texts = _texts(lines_that_parse) | _texts(lines_that_parse | lines_that_may_not)
"""Texts that are nearly unit files: most parse, the others are refused."""
