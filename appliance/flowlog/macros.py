"""The SQL functions that questions to the flow log use, as DuckDB's macros."""

from __future__ import annotations

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
CREATE MACRO rate(value) AS CASE WHEN value BETWEEN 1 AND 4294967296 THEN value ELSE 1 END;
CREATE MACRO counter(value) AS
    CASE WHEN value IS NULL THEN 0::UBIGINT
    ELSE coalesce(TRY_CAST(round(value) AS UBIGINT), 18446744073709551615::UBIGINT) END;
"""
)
