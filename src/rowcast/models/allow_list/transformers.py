"""What prepares columns."""

from typing import Any

import numpy as np

from rowcast.models.allow_list.known import ELEMENTWISE, Known, is_fitted
from rowcast.models.validation import is_array, is_finite, is_whole


def make_list() -> list[Known]:
    """Return what scales, fills, encodes and selects columns, and what puts such together."""
    from sklearn import compose, decomposition, feature_selection, impute, pipeline, preprocessing
    from sklearn.compose._column_transformer import make_column_selector

    width = "n_features_in_"
    chosen = (feature_selection.SelectKBest, feature_selection.SelectPercentile)
    return [
        Known(pipeline.Pipeline, (), lambda item: _are_named(item.steps, 2)),
        Known(pipeline.FeatureUnion, (), lambda item: _are_named(item.transformer_list, 2)),
        Known(
            compose.ColumnTransformer,
            ("transformers_", "_columns", "_transformer_to_input_indices", "_remainder", "output_indices_", width),
            _columns_are_parted,
            ("sparse_output_", "_name_to_fitted_passthrough"),
        ),
        Known(make_column_selector, (), lambda _: True, ("pattern", "dtype_include", "dtype_exclude")),
        Known(preprocessing.FunctionTransformer, (), _function_is_sound),
        Known(
            preprocessing.StandardScaler,
            ("mean_", "scale_", width),
            lambda item: _each_column(item, "mean_", "scale_"),
            ("var_", "n_samples_seen_"),
        ),
        Known(
            preprocessing.MinMaxScaler,
            ("min_", "scale_", width),
            lambda item: _each_column(item, "min_", "scale_"),
            ("data_min_", "data_max_", "data_range_", "n_samples_seen_"),
        ),
        Known(preprocessing.MaxAbsScaler, ("scale_", width), lambda item: _each_column(item, "scale_"), ("max_abs_",)),
        Known(
            preprocessing.RobustScaler,
            ("center_", "scale_", width),
            lambda item: _each_column(item, "center_", "scale_"),
        ),
        Known(preprocessing.Normalizer, (width,), lambda _: True),
        Known(
            impute.SimpleImputer, ("statistics_", "_fill_dtype", width), _imputer_is_sound, ("_fit_dtype", "indicator_")
        ),
        Known(
            impute.MissingIndicator,
            ("features_", "_n_features", "_precomputed", width),
            lambda item: (
                isinstance(item.features_, np.ndarray)
                and is_array(item.features_, len(item.features_), kinds="i", low=0, high=item.n_features_in_ - 1)
                and is_whole(item._n_features, item.n_features_in_, item.n_features_in_)
                and isinstance(item._precomputed, bool)
            ),
        ),
        Known(
            preprocessing.OneHotEncoder,
            ("categories_", "_infrequent_enabled", width),
            _encoder_is_sound,
            ("_infrequent_indices",),
            _finish_one_hot,
        ),
        Known(
            preprocessing.OrdinalEncoder,
            ("categories_", "_infrequent_enabled", "_missing_indices", width),
            lambda item: _encoder_is_sound(item) and not item._infrequent_enabled and item._missing_indices == {},
        ),
        *[
            Known(
                of,
                ("scores_", width),
                lambda item: isinstance(item.scores_, np.ndarray) and item.scores_.shape == (item.n_features_in_,),
                ("pvalues_",),
            )
            for of in chosen
        ],
        Known(
            feature_selection.VarianceThreshold, ("variances_", width), lambda item: _each_column(item, "variances_")
        ),
        Known(
            decomposition.PCA,
            ("components_", "mean_", "explained_variance_", "n_components_", width),
            _components_are_sound,
        ),
    ]


def _each_column(item: Any, *names: str) -> bool:
    """Whether these attributes have a number for each column, or are None."""
    return all(getattr(item, name) is None or is_array(getattr(item, name), item.n_features_in_) for name in names)


def _are_named(members: Any, parts: int) -> bool:
    """Whether these are pairs, or triples, of a name and an object of a class on the list, or a word for none."""
    return isinstance(members, list) and all(
        isinstance(member, tuple)
        and len(member) == parts
        and isinstance(member[0], str)
        and (member[1] in (None, "drop", "passthrough") or _is_object(member[1]))
        for member in members
    )


def _is_object(item: Any) -> bool:
    return not isinstance(item, type) and hasattr(item, "get_params")


def _columns_are_parted(item: Any) -> bool:
    columns, places = item.n_features_in_, item._transformer_to_input_indices
    return (
        _are_named(item.transformers_, 3)
        and isinstance(item._columns, list)
        and isinstance(places, dict)
        and all(isinstance(own, list) and all(is_whole(at, 0, columns - 1) for at in own) for own in places.values())
        and isinstance(item._remainder, tuple)
        and isinstance(item.output_indices_, dict)
        and all(isinstance(part, slice) for part in item.output_indices_.values())
    )


def _function_is_sound(item: Any) -> bool:
    """A function of each number alone, and bounds where it clips: nothing that it could write into."""
    known = [None, *ELEMENTWISE.values()]
    if not any(item.func is each for each in known) or not any(item.inverse_func is each for each in known):
        return False
    allowed = {"a_min", "a_max"} if item.func is np.clip else set()
    return all(
        given is None or (isinstance(given, dict) and set(given) <= allowed and all(map(_is_bound, given.values())))
        for given in (item.kw_args, item.inv_kw_args)
    )


def _is_bound(value: Any) -> bool:
    return (
        value is None
        or is_finite(value)
        or (isinstance(value, np.ndarray) and is_array(value, *value.shape, kinds="fiu"))
    )


def _imputer_is_sound(item: Any) -> bool:
    found, indicator = item.statistics_, getattr(item, "indicator_", None)
    return (
        isinstance(found, np.ndarray)
        and found.shape == (item.n_features_in_,)
        and found.dtype.kind in "fiuOU"
        and all(each is None or isinstance(each, bool | int | float | str) for each in found.tolist())
        and isinstance(item._fill_dtype, np.dtype)
        and (indicator is None or is_fitted(indicator, "MissingIndicator"))
    )


def _encoder_is_sound(item: Any) -> bool:
    """Each column's categories are sorted, so that a value's place among them is one of theirs."""
    known = item.categories_
    if not isinstance(known, list) or len(known) != item.n_features_in_:
        return False
    if not all(
        isinstance(own, np.ndarray) and own.ndim == 1 and own.dtype.kind in "biufUO" and len(own) for own in known
    ):
        return False
    if any(own.dtype.kind != "O" and not _is_sorted(own) for own in known):
        return False
    if any(own.dtype.kind == "O" and not _are_scalars(own.tolist()) for own in known):
        return False
    if not isinstance(getattr(item, "drop", None), str | None):
        return False
    grouped = item.max_categories is not None or item.min_frequency is not None
    if item._infrequent_enabled is not grouped:
        return False
    rare = getattr(item, "_infrequent_indices", None)
    if not grouped:
        return True
    return (
        isinstance(rare, list)
        and len(rare) == len(known)
        and all(
            places is None
            or (
                isinstance(places, np.ndarray)
                and len(places) > 0
                and is_array(places, len(places), kinds="i", low=0, high=len(own) - 1)
                and bool((np.diff(places) > 0).all())
            )
            for places, own in zip(rare, known, strict=True)
        )
    )


def _is_sorted(values: Any) -> bool:
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing[:-1].any():
            return False
        values = values[~missing]
    return bool((values[1:] > values[:-1]).all())


def _are_scalars(values: list[Any]) -> bool:
    found = [each for each in values if each is not None and each == each]
    return all(isinstance(each, bool | int | float | str) for each in found) and len(set(found)) == len(found)


def _finish_one_hot(item: Any) -> None:
    """Make the numbers of columns that a value's code is added to: no file says them."""
    item._default_to_infrequent_mappings = [None] * len(item.categories_)
    for column, places in enumerate(getattr(item, "_infrequent_indices", [])):
        if places is not None:
            rare = np.isin(np.arange(len(item.categories_[column])), places)
            item._default_to_infrequent_mappings[column] = np.where(rare, (~rare).sum(), np.cumsum(~rare) - 1)
    item._set_drop_idx()
    item._n_features_outs = item._compute_n_features_outs()


def _components_are_sound(item: Any) -> bool:
    count = item.n_components_
    return (
        is_whole(count, 0, item.n_features_in_)
        and is_array(item.components_, int(count), item.n_features_in_)
        and is_array(item.mean_, item.n_features_in_)
        and is_array(item.explained_variance_, int(count), low=0)
    )
