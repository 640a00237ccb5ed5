"""A search finds what a person means: words, their beginnings, phrases, exclusions, tags; in any script."""

# ruff: noqa: RUF001 (letters that look like others are what is tested)

import unicodedata

import pytest

from tasks.search import parse_match, tag_key
from tests.support.search import add, find, find_by_index, value
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


FOUND = [
    # A word, in any case, whole or its beginning.
    ("Buy groceries", "groceries"),
    ("Buy groceries", "GROC"),
    ("Buy groceries", "b"),
    ("Buy groceries", "gro bu"),
    ("Room 4711", "471"),
    # Accents.
    ("Café with Zoë", "cafe zoe"),
    ("Cafe", "café"),
    ("Cafe\u0301", "CAFÉ"),
    ("Müller anrufen", "muller"),
    ("Größe der Straße", "grosse strasse"),
    ("STRASSE", "straße"),
    ("ẞ", "ss"),
    ("İstanbul", "istanbul"),
    ("ISTANBUL", "ıstanbul"),
    ("Łódź, Ørsted, Đà Nẵng", "lodz orsted da nang"),
    ("Ægir œuvre Þór", "aegir oeuvre thor"),
    ("Nguyễn Văn", "nguyen van"),
    ("ﬁnish the oﬃce", "finish office"),
    ("ＦＵＬＬ ｗｉｄｔｈ １２", "full width 12"),
    ("Full", "ｆｕｌｌ"),
    ("x² and ℃", "x2 c"),
    ("soft\u00adware and zero\u200bwidth", "software zerowidth"),
    # Case beyond ASCII, without the locale.
    ("ΣΊΣΥΦΟΣ", "σισυφος"),
    ("Άννα", "ΑΝΝΑ"),
    ("Купить МОЛОКО", "молок купи"),
    ("ёлка и чай", "ЕЛКА ЧАИ"),
    ("Գնել Հաց", "գնել ՀԱՑ"),
    ("ᲗᲑᲘᲚᲘᲡᲘ", "თბილისი"),
    ("Ꭰ \U00010400", "ꭰ \U00010428"),
    # Scripts with spaces.
    ("한국어 공부", "한국 공부"),
    ("שָׁלוֹם עולם", "שלום"),
    ("كِتَاب جديد", "كتاب"),
    ("दूध खरीदो", "दूध"),
    # Scripts without spaces: any part.
    ("買牛奶和麵包", "牛奶"),
    ("買牛奶和麵包", "麵包 買"),
    ("買牛奶和麵包", "包"),
    ("買牛奶和麵包", "奶和麵"),
    ("buy牛奶now", "牛奶 now buy"),
    ("東京タワーへ行く", "タワー"),
    ("ガラスを買う", "カﾞラス"),
    ("がっこう", "っこ"),
    ("ซื้อนมสด", "นม"),
    ("ຊື້ນົມ", "ນົມ"),
    ("ទិញទឹកដោះគោ", "ទឹក"),
    ("နို့ဝယ်ပါ", "ဝယ်"),
    ("Party 🎉 tonight", "🎉"),
    # Punctuation.
    ("e-mail Bob", "e-mail"),
    ("e-mail Bob", "mail"),
    ("l'école", "école"),
    ("don’t", "don't"),
    ("snake_case 100%", "snake_case 100%"),
    ("C:\\temp", "c:\\temp"),
    ("a;b,c", "a b c"),
    # Phrases.
    ("Call the bank", '"call the bank"'),
    ("Call the bank", '"the bank" call'),
    ("Call the bank", "“the bank”"),
    ("Call, the BÀNK!", '"the bank"'),
    ("買牛奶和麵包", '"牛奶和"'),
    ("Call the bank", '"the bank'),
    # Exclusions.
    ("Call the bank", "bank -card"),
    ("Call the bank", 'bank -"bank call"'),
    ("one-off", "one"),
]

NOT_FOUND = [
    ("Buy groceries", "roceries"),
    ("Buy groceries", "groceriesx"),
    ("Buy groceries", "buy milk"),
    ("Call the bank", '"call bank"'),
    ("Call the bank", '"the ban"'),
    ("Call the bank", '"all the"'),
    ("Call the bank", "call -bank"),
    ("Call the bank", "call -ban"),
    ("Call the bank", 'call -"the bank"'),
    ("Call the bank", "bank –call"),
    ("買牛奶和麵包", "奶牛"),
    ("買牛奶和麵包", "牛麵"),
    ("買牛奶和麵包", "買 -牛奶"),
    ("がっこう", "か"),
    ("snake", "s_ake"),
    ("snake", "s%e"),
    ("abc", "a\\bc"),
]


@pytest.mark.parametrize(("title", "query"), FOUND)
def test_a_search_finds_the_task_row_by_row_and_by_index(alice: User, title: str, query: str) -> None:
    task = add(title)

    assert find(query) == {task}
    assert find_by_index(query) == {task}


@pytest.mark.parametrize(("title", "query"), NOT_FOUND)
def test_a_search_does_not_find_another_text(alice: User, title: str, query: str) -> None:
    add(title)

    assert find(query) == set()


@pytest.mark.parametrize("query", ["milk", "oat", "home", "eggs", "milk oat home eggs", '"home work"'])
def test_words_may_be_in_title_description_tags_and_checklist(alice: User, query: str) -> None:
    task = add("Milk", "of oats", ["Home work"], ["six Eggs"])

    assert find(query) == find_by_index(query) == {task}


@pytest.mark.parametrize("query", ['"milk of"', '"oats home"', '"work six"', '"eggs flour"'])
def test_a_phrase_does_not_continue_in_another_field(alice: User, query: str) -> None:
    add("Milk", "of oats", ["Home work"], ["six eggs", "flour"])

    assert find(query) == set()


@pytest.mark.parametrize(
    ("tags", "tag", "found"),
    [
        (["Home"], "home", True),
        (["home"], "HOME", True),
        (["Home Work"], "home work", True),
        (["ÄRZTE"], "ärzte", True),
        (["仕事"], "仕事", True),
        (["Home"], "hom", False),
        (["home-work"], "home work", False),
        (["home_work"], "home work", False),
        (["cafe"], "café", False),
        ([], "home", False),
    ],
)
def test_a_tag_is_compared_whole_and_without_case(alice: User, tags: list[str], tag: str, found: bool) -> None:
    task = add("home work", tags=tags)
    add("another", tags=["x"])

    assert find("", tag=tag) == ({task} if found else set())
    assert not found or find_by_index("", tag) == {task}


def test_a_tag_and_words_are_one_search(alice: User) -> None:
    task = add("Call the bank", tags=["Home"])
    add("Call the bank")
    add("Call Bob", tags=["home"])

    assert find("bank", tag="home") == find_by_index("bank", "home") == {task}


def test_nobody_finds_a_task_of_another_user(alice: User, bob: User) -> None:
    add("Call the bank", user="bob")

    assert find("bank") == set()
    assert value("SELECT ids FROM tasks_found(NULL, '{bank}')") is None


def test_operators_find_the_tasks_of_all_users(alice: User, bob: User) -> None:
    tasks = [add("Call the bank"), add("The Bank of Bob", user="bob")]

    assert value("SELECT ids FROM tasks_found_anywhere('{bank}')") == tasks[::-1]
    assert value("SELECT ids FROM tasks_found_anywhere('{bank}', '{call}')") == tasks[1:]


def test_each_state_is_searched_alone(alice: User) -> None:
    pending, completed, deleted = (add("Call the bank") for _ in range(3))
    value("UPDATE tasks SET completed = true, completed_at = now() WHERE id = %s RETURNING id", completed)
    value("UPDATE tasks SET deleted_at = now() WHERE id = %s RETURNING id", deleted)

    assert {state: find("bank", state=state) for state in ("all", "pending", "completed", "deleted", "any")} == {
        "all": {pending, completed},
        "pending": {pending},
        "completed": {completed},
        "deleted": {deleted},
        "any": {pending, completed, deleted},
    }


@pytest.mark.parametrize(
    "change",
    [
        "title = 'oats'",
        "description = 'oats'",
        "tags = '{oats}'",
        """checklist = '[{"text": "oats", "done": false}]'""",
    ],
)
def test_raw_sql_that_changes_a_text_is_in_the_index(alice: User, change: str) -> None:
    task = add("milk")

    value(f"UPDATE tasks SET {change} RETURNING id")

    assert find("oats") == find_by_index("oats") == {task}


def test_a_change_of_the_state_adds_nothing_to_the_index(alice: User) -> None:
    add("milk")
    value("UPDATE tasks SET completed = true, completed_at = now() RETURNING id")

    assert value("SELECT count(*) FROM task_events WHERE version = text_version") == 1
    assert value("SELECT count(*) FROM task_events") == 2


@pytest.mark.parametrize("terms", [["\u0301"], ["!"], ["©"], []])
def test_without_a_letter_the_database_answers_null(alice: User, terms: list[str]) -> None:
    assert value("SELECT ids FROM tasks_found('alice', %s::text[])", terms) is None


def test_a_title_is_checked_as_the_search_folds_it(alice: User) -> None:
    in_title, _ = add("Call the BÀNK", "today"), add("Call Bob", "at the bank")

    assert value("SELECT tasks_title_has('Call the BÀNK', %s)", parse_match('"bank" -call')) is True
    assert value("SELECT tasks_title_has('Call the BÀNK', %s)", parse_match("bank today")) is False
    assert value("SELECT ids FROM tasks_found('alice', '{ban}', title_only => true)") == [in_title]


@pytest.mark.parametrize(
    "text",
    ["x" * 1000, "x y" * 300, "買" * 1000, "\U0001f389" * 999, "ß" * 1000, "\ufdfa" * 1000, "a\u0301" * 500, "!" * 999],
)
def test_any_text_can_be_stored_and_found(alice: User, text: str) -> None:
    task = add("Longest", text)

    assert find("longest") == find_by_index("longest") == {task}
    if text[0] not in "!":
        assert find(text[:200]) == find_by_index(text[:200]) == {task}


def test_tags_compare_alike_in_the_database_and_in_the_worker() -> None:
    known = (chr(number) for number in (*range(0x20, 0xD800), *range(0xE000, 0x20000)))
    letters = [letter for letter in known if unicodedata.ucd_3_2_0.category(letter)[0] in "LMN"]
    words = [*letters, "ΟΔΟΣ", "Straße", "STRASSE", "İstanbul", "ＡＢＣ", "Ⅷ", "e\u0301", "日本"]
    assert len(words) > 40_000
    folded = value(
        "SELECT array_agg(tasks_lower(word) ORDER BY n) FROM unnest(%s::text[]) WITH ORDINALITY w (word, n)", words
    )
    assert list(map(tag_key, words)) == folded
