"""The Part 1 model: imputation, scaling and a logistic regression, from scikit-learn's own classes alone."""

from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def build() -> Pipeline:
    """A fresh, unfitted estimator.

    rowcast fits it on a DataFrame with column names: float32 numbers, NaN where missing, and text categories; y is 0
    and 1. It is fitted anew in each fold, so that no later row reaches an earlier model.
    """
    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    texts = OneHotEncoder(handle_unknown="ignore", min_frequency=20)
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("texts", texts, make_column_selector(dtype_exclude="number")),
        ]
    )
    # Weights, not resampling: about one part in twelve fails. C is small, for there are many sensors.
    return Pipeline([("prepare", prepare), ("classify", LogisticRegression(C=0.01, class_weight="balanced"))])
