"""Contacts by id: facts, then any sequence of verbs against a list."""

from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.kernel.contact import Contact
from ext.kernel.contact_table import ContactTable
from tests.reference import contact_table as twin

KEY = bytes(range(16))


def table_of(*ids: str) -> tuple[ContactTable, list[Contact]]:
    table, contacts = ContactTable(KEY), [Contact(id, 0) for id in ids]
    for contact in contacts:
        table.lead(contact.id, contact)
    return table, contacts


def test_an_id_leads_to_its_contact_and_no_other_does() -> None:
    table, (anna, bob) = table_of("anna", "bob")
    assert table.get("anna") is anna
    assert table.get("bob") is bob
    assert table.get("ann") is table.get("annas") is table.get("") is None
    assert len(table) == 2


def test_an_id_forgotten_leads_nowhere_until_it_leads_anew() -> None:
    table, (anna,) = table_of("anna")
    table.forget("anna", anna)
    assert table.get("anna") is None
    other = Contact("anna", 1)
    table.lead("anna", other)
    assert table.get("anna") is other


@pytest.mark.parametrize("id", ["", "x" * 1_000, "Åse", "地球", "\0", "a\0b", "🦔"])
def test_any_text_is_an_id(id: str) -> None:
    table, (contact,) = table_of(id)
    assert table.get(id) is contact


def test_half_a_surrogate_pair_is_nobody() -> None:
    table, _ = table_of("anna")
    assert table.get("\ud800") is None


def test_an_id_leads_to_one_contact_only() -> None:
    table, (anna,) = table_of("anna")
    with pytest.raises(AssertionError):
        table.lead("anna", anna)
    with pytest.raises(AssertionError):
        table.lead("somebody else's", anna)
    with pytest.raises(AssertionError):
        table.forget("bob", anna)


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(17)])
def test_a_key_has_16_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        ContactTable(key)


def test_it_holds_its_contacts_and_lets_them_go() -> None:
    contact = Contact("anna", 0)
    before = sys.getrefcount(contact)
    table = ContactTable(KEY)
    table.lead("anna", contact)
    assert sys.getrefcount(contact) == before + 1
    table.forget("anna", contact)
    assert sys.getrefcount(contact) == before
    table.lead("anna", contact)
    del table
    gc.collect()
    assert sys.getrefcount(contact) == before


def test_all_are_let_go_while_the_table_grows() -> None:
    """Contacts that the former table still holds go as well."""
    for size in range(40, 60):
        contact = Contact("0", 0)
        before = sys.getrefcount(contact)
        table = ContactTable(KEY)
        table.lead("0", contact)
        for n in range(1, size):
            table.lead(str(n), Contact(str(n), 0))
        del table
        assert sys.getrefcount(contact) == before


def test_memory_grows_with_use() -> None:
    table, _ = table_of()
    assert table.bytes_used < 1_000
    table, _ = table_of(*map(str, range(10_000)))
    assert 10_000 * 12 < table.bytes_used <= 10_000 * 12 * 4


ids = st.one_of(st.integers(0, 400).map(str), st.text(max_size=3).filter(str.isprintable))
verbs = st.lists(st.tuples(st.sampled_from(["lead", "lead", "lead", "forget"]), ids), max_size=400)


@settings(max_examples=200, deadline=None)
@given(given=verbs)
def test_it_does_what_a_list_does(given: list[tuple[str, str]]) -> None:
    table, slow = ContactTable(KEY), twin.ReferenceContactTable()
    for verb, id in given:
        known = slow.get(id)
        assert table.get(id) is known
        if verb == "lead" and known is None:
            contact = Contact(id, 0)
            table.lead(id, contact)
            slow.lead(id, contact)
        elif verb == "forget" and known is not None:
            table.forget(id, known)
            slow.forget(id, known)
    assert len(table) == len(slow)
    for id in {*(id for _, id in given), *map(str, range(410))}:
        assert table.get(id) is slow.get(id)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 1 << 30), kept=st.integers(1, 700))
def test_those_who_come_and_go_leave_no_trace(start: int, kept: int) -> None:
    """A table used for years: thousands pass through, at every stage of its growth."""
    table = ContactTable(KEY)
    contacts = [Contact(str(n), 0) for n in range(start, start + 3_000)]
    for n, contact in enumerate(contacts):
        table.lead(contact.id, contact)
        if n >= kept:
            table.forget(contacts[n - kept].id, contacts[n - kept])
    assert len(table) == kept
    assert [table.get(contact.id) is contact for contact in contacts] == [
        n >= len(contacts) - kept for n in range(len(contacts))
    ]
