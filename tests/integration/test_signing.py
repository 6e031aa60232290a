"""Signatures of model versions: who may write the store cannot make a version that is loaded."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import Place
from test_ledger import opened

from rowcast.config import load
from rowcast.contract import ColumnRule, Contract
from rowcast.errors import ConfigError, ModelError
from rowcast.fit.candidates.linear import fit_linear
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Sigmoid
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.store.registry import Reference, Registry
from rowcast.store.signing import SignatureState, SigningKeys

KEY, NEXT = "k" * 40, "n" * 40


def a_model() -> Model:
    rows = Matrix(np.random.default_rng(0).normal(size=(60, 1)).astype(np.float32), ("s1",), {})
    estimator = fit_linear(rows, Target("binary", rows.values[:, 0] > 0, (0, 1)), 1.0).estimator
    contract = Contract((ColumnRule("s1", "number"),))
    return Model("binary", ("s1",), contract, (Member("linear", estimator),), Sigmoid(1.0, 0.0), (0, 1), 0.5)


@pytest.fixture(scope="module")
def model() -> Model:
    return a_model()


@pytest.fixture
def signed(database: Place, model: Model) -> Registry:
    """A registry with a key, and a version that it signed."""
    ledger = opened(database.connect())
    registry = Registry(ledger.db, ledger.tables, ledger.job, SigningKeys.of([KEY]))
    at = ledger.db.now()
    registry.save(model, Reference(b"", b"", None), run_id=1, created_at=at, estimator="default", rows=60, metrics={})
    return registry


def with_keys(registry: Registry, *keys: str) -> Registry:
    return Registry(registry.db, registry.tables, registry.job, SigningKeys.of(keys))


def state(registry: Registry, version: int = 1) -> SignatureState:
    return registry.check_integrity(version).signature


def test_a_version_is_signed_when_it_is_saved_and_loaded_by_who_has_the_key(signed: Registry) -> None:
    assert signed.load(1).features == ("s1",)
    assert state(signed) is SignatureState.VALID
    assert with_keys(signed).load(1).features == ("s1",)  # without a key the digest alone is checked
    assert state(with_keys(signed)) is SignatureState.NOT_CHECKED


@pytest.mark.parametrize("change", ["artifact", "unsigned", "another version's", "another job's", "made up"])
def test_what_somebody_else_wrote_into_the_store_is_refused(signed: Registry, model: Model, change: str) -> None:
    table = signed.tables.model
    values: dict[str, object] = {"signature": None}
    if change == "artifact":  # with the digest that belongs to it: what SHA-256 alone cannot tell
        data = a_model().to_bytes() + b" "
        values = {"artifact": data, "artifact_sha256": hashlib.sha256(data).hexdigest()}
    elif change != "unsigned":
        sha256 = hashlib.sha256(model.to_bytes()).hexdigest()
        values["signature"] = {
            "another version's": SigningKeys.of([KEY]).sign(signed.job, 2, sha256),
            "another job's": SigningKeys.of([KEY]).sign("others", 1, sha256),
            "made up": "hmac-sha256:0000000000000000:00",
        }[change]
    signed.db.execute(table.update().values(**values))
    with pytest.raises(ModelError, match="v1 of job 'wafers' is refused") as caught:
        signed.load(1)
    assert "rowcast models verify" in caught.value.hint
    with pytest.raises(ModelError):
        signed.verify(1)
    assert not signed.check_integrity(1).is_trusted


def test_a_key_is_replaced_without_a_version_that_cannot_be_loaded(signed: Registry) -> None:
    with pytest.raises(ModelError, match="by a key that is not known here"):
        with_keys(signed, NEXT).load(1)
    both = with_keys(signed, NEXT, KEY)
    assert both.load(1).features == ("s1",)
    assert state(both) is SignatureState.OLD_KEY
    both.sign(1)
    assert state(with_keys(signed, NEXT)) is SignatureState.VALID
    assert with_keys(signed, NEXT).load(1).features == ("s1",)


def test_only_what_is_as_it_was_saved_is_signed(signed: Registry) -> None:
    with pytest.raises(ModelError, match="no key to sign by"):
        with_keys(signed).sign(1)
    signed.db.execute(signed.tables.model.update().values(artifact=b"x"))
    with pytest.raises(ModelError, match="was changed in the store"):
        signed.sign(1)
    assert not signed.check_integrity(1).intact


def test_the_key_comes_from_the_environment_and_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rowcast.toml"
    path.write_text('[source]\nurl = "sqlite:///fab.db"\ntable = "wafers"\nkey = ["id"]\nlabel = "failed"\n')
    plain = load(path)
    monkeypatch.setenv("ROWCAST_SIGNING_KEY", f"{NEXT}, {KEY}")
    settings = load(path)
    assert settings.signing_keys == (NEXT, KEY)
    assert {KEY, NEXT} <= set(settings.secrets)
    assert KEY not in repr(settings) + str(settings.model_dump()) + repr(SigningKeys.of(settings.signing_keys))
    assert settings.sha256() == plain.sha256()
    for bad in ("short-key", f"{KEY},", f"{KEY},{KEY}"):
        monkeypatch.setenv("ROWCAST_SIGNING_KEY", bad)
        with pytest.raises(ConfigError, match="at least 32 characters") as caught:
            load(path)
        assert "short-key" not in str(caught.value)
