"""The SQL functions that questions to the flow log use, as DuckDB's macros."""

from __future__ import annotations

from appliance.flows import COLUMN, plugin_columns
from appliance.value_names import all_names

_NAME_MACRO = "name_of_"
MACROS = (
    """
CREATE MACRO v4(lo) AS concat_ws('.', (lo >> 24) & 255, (lo >> 16) & 255, (lo >> 8) & 255, lo &
255); CREATE MACRO groups(hi, lo) AS concat_ws(':',
    format('{:x}', (hi >> 48) & 65535), format('{:x}', (hi >> 32) & 65535),
    format('{:x}', (hi >> 16) & 65535), format('{:x}', hi & 65535),
    format('{:x}', (lo >> 48) & 65535), format('{:x}', (lo >> 32) & 65535),
    format('{:x}', (lo >> 16) & 65535), format('{:x}', lo & 65535));
CREATE MACRO shortened(text) AS CASE
    WHEN text = '0:0:0:0:0:0:0:0' THEN '::'
"""
    + "".join(
        f"    WHEN regexp_matches(text, '(^|:)0(:0){{{n}}}(:|$)')"
        f" THEN regexp_replace(text, '(^|:)0(:0){{{n}}}(:|$)', '::')\n"
        for n in range(6, 0, -1)
    )
    + """    ELSE text END;
CREATE MACRO address(hi, lo) AS CASE
    WHEN hi IS NULL AND lo IS NULL THEN NULL
    WHEN coalesce(hi, 0) = 0 AND (lo >> 32) = 65535 THEN v4(lo)
    ELSE shortened(groups(coalesce(hi, 0), coalesce(lo, 0))) END;
CREATE MACRO moment(ms) AS CASE WHEN ms BETWEEN 0 AND 253402300799999 THEN epoch_ms(ms) END;
CREATE MACRO mac(number) AS CASE WHEN number IS NOT NULL THEN concat_ws(':',
    format('{:02x}', (number >> 40) & 255), format('{:02x}', (number >> 32) & 255),
    format('{:02x}', (number >> 24) & 255), format('{:02x}', (number >> 16) & 255),
    format('{:02x}', (number >> 8) & 255), format('{:02x}', number & 255)) END;
CREATE MACRO letters(number) AS
    CASE WHEN number > 0 THEN chr((number >> 8)::INT) || chr((number & 255)::INT) END;
CREATE MACRO bitAnd(a, b) AS a & b; CREATE MACRO bitShiftRight(a, bits) AS a >> bits;
CREATE MACRO intDiv(a, b) AS a // b; CREATE MACRO toUInt64(a) AS a::UBIGINT;
CREATE MACRO rate(value) AS CASE WHEN value BETWEEN 1 AND 4294967296 THEN value ELSE 1 END;
CREATE MACRO counter(value) AS
    CASE WHEN value IS NULL THEN 0::UBIGINT
    ELSE coalesce(TRY_CAST(round(value) AS UBIGINT), 18446744073709551615::UBIGINT) END;
"""
)


def macros() -> str:
    """Return the statements that make all of them, those of names as these are known now."""
    named = [column.name for column in plugin_columns() if column.has_names]
    return MACROS + "".join(_name_macro(column) for column in named)


def _name_macro(column: str) -> str:
    """Return the macro of the names of a column's numbers; a number without one is itself, and 0
    none.
    """
    cases = "".join(
        f" WHEN {number} THEN '{_escape(name)}'" for number, name in all_names(column).items()
    )
    return (
        f"CREATE MACRO {_NAME_MACRO}{column}(number) AS"
        f" CASE number WHEN 0 THEN NULL{cases} ELSE number::VARCHAR END;\n"
    )


def _escape(name: str) -> str:
    return name.replace("'", "''")


def printed_number(column: str, number: str) -> str:
    """Return the expression that shows a number of a column the way people read it."""
    if column in COLUMN and COLUMN[column].letters:
        return f"letters({number})"
    if column in COLUMN and COLUMN[column].has_names:
        return f"{_NAME_MACRO}{column}({number})"
    return number
