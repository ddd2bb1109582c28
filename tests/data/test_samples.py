"""The sample that comes with the package: there, balanced, natural and not too easy."""

from __future__ import annotations

from collections import Counter

import pytest

from finsa_moe.data import samples
from finsa_moe.data.reading.columns import Columns
from finsa_moe.data.reading.read import read_rows
from finsa_moe.errors import DataError
from finsa_moe.polarity import NAMES, LabelMap


def rows(domain):
    path = samples.path(domain)
    if not path.is_file():
        pytest.skip(f"{path.name} is not in this checkout")
    return read_rows([path], Columns(), LabelMap(), domain)


@pytest.mark.parametrize("domain", samples.DOMAINS)
def test_at_least_400_texts_every_class_well_represented(domain):
    table = rows(domain)
    assert table.rejects.height == 0
    assert table.ids == {"made": 0, "changed": 0}
    assert table.frame.height >= 400
    counts = Counter(table.frame["label"].to_list())
    assert min(counts[label] for label in NAMES) >= 0.25 * table.frame.height


@pytest.mark.parametrize("domain", samples.DOMAINS)
def test_no_templates(domain):
    texts = rows(domain).frame["text"].to_list()
    grams = [{text[i : i + 4] for i in range(max(1, len(text) - 3))} for text in texts]
    holders = {}
    for index, own in enumerate(grams):
        shared = Counter(other for gram in own for other in holders.get(gram, ()))
        for other, common in shared.items():
            assert common / (len(own) + len(grams[other]) - common) < 0.5, (texts[index], texts[other])
        for gram in own:
            holders.setdefault(gram, []).append(index)


@pytest.mark.parametrize("domain", samples.DOMAINS)
def test_neither_too_easy_nor_too_hard_for_characters_alone(domain):
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    frame = rows(domain).frame
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=2000, class_weight="balanced"),
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    texts, labels = frame["text"].to_list(), frame["label"].to_list()
    with threadpool_limits(1):  # threads that wait for each other make this twenty times slower
        scores = cross_val_score(model, texts, labels, cv=folds, scoring="f1_macro")
    assert 0.55 <= scores.mean() <= 0.90


def test_a_copy_is_the_sample_and_never_overwrites(tmp_path, monkeypatch):
    own = {domain: tmp_path / "package" / f"{domain}.csv" for domain in samples.DOMAINS}
    (tmp_path / "package").mkdir()
    for domain, path in own.items():
        path.write_text(f"id,text,label\n{domain}-1,涨,利好\n", encoding="utf-8")
    monkeypatch.setattr(samples, "path", own.__getitem__)
    made = samples.copy(tmp_path / "out")
    assert [path.name for path in made] == ["news.csv", "forum.csv"]
    assert all(path.read_bytes() == own[path.stem].read_bytes() for path in made)
    assert len(list((tmp_path / "out").iterdir())) == 2
    with pytest.raises(DataError, match="is there already"):
        samples.copy(tmp_path / "out")


def test_an_unknown_domain():
    with pytest.raises(DataError, match="allowed: news, forum"):
        samples.path("weibo")  # type: ignore[arg-type]
