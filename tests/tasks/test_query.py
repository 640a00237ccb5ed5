"""What is a query, and what is refused."""

import pytest

from tasks.search import NotAQuery, parse_match, parse_query


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "letters or digits"),
        ('"" - !', "letters or digits"),
        ("-bank", "must occur"),
        ('-"the bank" -x', "must occur"),
        ("x" * 201, "200 characters"),
    ],
)
def test_a_text_that_is_no_query_is_refused_with_an_example(query: str, reason: str) -> None:
    with pytest.raises(NotAQuery, match=rf"{reason}.*for example"):
        parse_query(query)


def test_a_match_has_neither_phrases_nor_exclusions() -> None:
    assert parse_match('the "bank card" -blue e-mail') == ["the", "bank", "card", "blue", "e-mail"]
    with pytest.raises(NotAQuery):
        parse_match('-"')
