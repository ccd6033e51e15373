"""What `/api/v1/plugins` and `/api/v1/packages` say."""

from __future__ import annotations

from email.message import Message
from typing import Any

import pytest

from appliance.plugins.metrics.packages import DISTRIBUTION, licence_of, requirements_of


class _Package:
    """An installed package with these lines of metadata."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        self.metadata = Message()
        for name, value in lines:
            self.metadata[name] = value


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "other")], "MIT"),
        ([("License", "BSD")], "BSD"),
        (
            [
                ("License", "x" * 2000),
                ("Classifier", "License :: OSI Approved :: Apache Software License"),
            ],
            "Apache Software License",
        ),
        ([("Classifier", "Framework :: Pytest")], None),
    ],
)
def test_licence_when_metadata_name_it_in_one_way_or_another_then_that(lines: Any, licence: Any):
    assert licence_of(_Package(*lines)) == licence  # type: ignore[arg-type]


def test_packages_when_listed_then_the_direct_and_the_indirect_without_extras():
    names = [package.name for package in requirements_of(DISTRIBUTION)]
    assert {"numpy", "pluggy", "pycparser"} <= set(names)
    assert "pytest" not in names
    assert names == sorted(names, key=str.lower)


def test_plugins_when_asked_by_a_user_then_name_origin_and_hooks(appliance):
    plugins = appliance.client("GET", "/api/v1/plugins", token=appliance.token).json["plugins"]
    assert {"name": "analytics", "from": "built-in", "hooks": ["register_routes"]} in plugins


@pytest.mark.parametrize("path", ["/api/v1/plugins", "/api/v1/packages"])
def test_software_when_nobody_is_signed_in_then_refused(appliance, path: str):
    assert appliance.client("GET", path).status == 401
    assert appliance.client("GET", path, token=appliance.token).status == 200
