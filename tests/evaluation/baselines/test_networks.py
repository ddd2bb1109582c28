from __future__ import annotations

import numpy as np
import pytest
import rjieba
import torch

from finsa_moe.errors import DataError
from finsa_moe.evaluation.baselines.ids import Characters, NGrams
from finsa_moe.evaluation.baselines.network import PAD, UNKNOWN, NetworkBaseline, Plan
from finsa_moe.evaluation.baselines.networks import Bag, BiLSTM, TextCNN, bilstm, fasttext, textcnn
from tests.evaluation.baselines.test_tfidf import rows

NETWORKS = {
    "fasttext": lambda size: Bag(size, width=8),
    "textcnn": lambda size: TextCNN(size, width=8, filters=6),
    "bilstm": lambda size: BiLSTM(size, width=8, hidden=6),
}


def small(name: str, epochs: int = 12) -> NetworkBaseline:
    encoder = NGrams(buckets=4096) if name == "fasttext" else Characters()
    return NetworkBaseline(name, encoder, NETWORKS[name], Plan(learning_rate=2e-2, batch_size=16, epochs=epochs))


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_never_moves_an_answer(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](50).eval()
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 50, length) for length in (1, 3, 9)]
    alone = [network(torch.from_numpy(ids)[None])[0] for ids in texts]
    for width in (9, 17):
        batch = torch.full((3, width), PAD)
        for row, ids in enumerate(texts):
            batch[row, : len(ids)] = torch.from_numpy(ids)
        torch.testing.assert_close(network(batch), torch.stack(alone), atol=1e-6, rtol=1e-5)


def test_the_convolution_by_hand() -> None:
    torch.manual_seed(0)
    network = TextCNN(20, width=4, filters=3, spans=(2,)).eval()
    ids = torch.tensor([[3, 7, 5]])
    vectors = [network.embed(ids)[0, at] for at in range(3)] + [torch.zeros(4)]
    weight, bias = network.convolutions[0].weight, network.convolutions[0].bias
    windows = [weight[:, :, 0] @ vectors[at] + weight[:, :, 1] @ vectors[at + 1] + bias for at in range(3)]
    expected = network.head(torch.stack(windows).amax(dim=0).relu())
    torch.testing.assert_close(network(ids)[0], expected)


def test_attention_by_hand() -> None:
    torch.manual_seed(0)
    network = BiLSTM(20, width=4, hidden=3).eval()
    ids = torch.tensor([[3, 7, 5]])
    states = network.lstm(network.embed(ids))[0][0]
    shares = torch.stack([network.attend(state)[0] for state in states]).softmax(0)
    torch.testing.assert_close(network(ids)[0], network.head((shares[:, None] * states).sum(0)))


@pytest.mark.parametrize("name", NETWORKS)
def test_learns_and_repeats_itself_to_the_bit(name: str) -> None:
    texts, labels = rows(240, 1)
    others, wanted = rows(90, 2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = small(name).fit(texts, labels, seed=7, dev=rows(60, 3))
    assert torch.equal(before, torch.get_rng_state())  # the caller's random numbers are left alone
    probs = model.predict_proba(others)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    truth = np.array([["利空", "中性", "利好"].index(y) for y in wanted])
    assert (probs.argmax(axis=1) == truth).mean() > 0.75
    torch.manual_seed(99)  # what the caller draws changes nothing
    again = small(name).fit(texts, labels, seed=7, dev=rows(60, 3))
    assert np.array_equal(again.predict_proba(others), probs)
    other = small(name).fit(texts, labels, seed=8, dev=rows(60, 3))
    assert not np.array_equal(other.predict_proba(others), probs)
    one_by_one = np.concatenate([model.predict_proba([text]) for text in others])
    np.testing.assert_allclose(one_by_one, probs, atol=1e-5)


def test_the_best_epoch_is_kept_and_training_stops_after_patience() -> None:
    texts, labels = rows(60, 1)
    dev = rows(200, 2)
    model = NetworkBaseline("bag", Characters(), Bag, Plan(learning_rate=0.05, batch_size=8, epochs=60, patience=3))
    model.fit(texts, labels, dev=dev)
    best = int(np.argmax(model.history))
    assert len(model.history) == best + 4 < 60
    from finsa_moe.evaluation.baselines.rows import checked, macro_f1

    assert macro_f1(checked(*dev)[1], model.predict_proba(dev[0])) == pytest.approx(model.history[best])


def test_characters_in_order() -> None:
    encoder = Characters(longest=6)
    encoder.fit(["涨跌", "涨停", "跌", "罕"])
    assert encoder.size == 4  # padding, unknown, 涨 and 跌; the others stand in one text
    (ids, empty) = encoder(["跌罕涨", ""])
    assert ids.tolist() == [3, UNKNOWN, 2]
    assert empty.tolist() == [UNKNOWN]
    assert encoder(["涨跌涨跌罕空罕空跌涨"])[0].tolist() == [2, 3, 2, 3, 3, 2]


def test_grams_are_those_of_two_texts() -> None:
    encoder = NGrams(characters=2, words=2)
    encoder.fit(["涨停板 打开", "涨停板 打开", "跌"])
    known, unknown = encoder(["涨停板了", "跌"])
    assert unknown.tolist() == [UNKNOWN]
    # characters: 涨 停 板 涨停 停板; the words 涨停 and 板, or 涨停板, and their pairs, as rjieba cuts
    words = [word for word in rjieba.cut("涨停板了") if word != "了"]
    assert len(known) == 5 + len(words) + len(words) - 1
    # of the whole text: 涨停板, a space, 打开; six characters, five pairs
    words = rjieba.cut("涨停板 打开")
    assert encoder.size == 2 + 6 + 5 + len(words) + len(words) - 1
    assert len(set(known.tolist())) == len(known)


@pytest.mark.parametrize("make", [fasttext, textcnn, bilstm])
def test_asked_before_training(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="call fit"):
        make().predict_proba(["涨"])
