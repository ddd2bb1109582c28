"""The bulk benchmark as a picture: texts a second of every contestant, on a logarithmic scale, from the kept results.

Run: ``python -m benchmarks.chart``, after ``python -m benchmarks.bulk``; it measures nothing.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.measure import kept, picture

NAMES = {
    "openvino bf16": "ours exported in bf16, extra fast (OpenVINO)",
    "openvino": "ours, extra fast (OpenVINO)",
    "onnxruntime": "ours, base installation (ONNX Runtime)",
    "plain openvino": "plain classifier, OpenVINO, our batching",
    "plain onnxruntime": "plain classifier, ONNX Runtime, our batching",
    "pipeline, sorted, bf16": "transformers.pipeline, sorted texts, bf16",
    "pipeline": "transformers.pipeline, batches of 32",
    "published": "published: three passes, one text, padded to 512",
}
PICTURE = picture(Path("docs/bulk.png"))


def main() -> None:
    rates = kept("bulk")["texts_per_second"]
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    axes = figure.subplots()
    for row, (key, label) in enumerate(reversed(NAMES.items())):
        axes.barh(row, rates[key], color="#2b5fb3" if label.startswith("ours") else "#b9c0cc", height=0.66)
        axes.text(
            rates[key] * 1.06, row, f"{rates[key]:,.0f}" if rates[key] >= 10 else f"{rates[key]:.1f}", va="center"
        )
    axes.set_yticks(range(len(NAMES)), list(reversed(NAMES.values())))
    axes.set_xscale("log")
    axes.set_xlim(1, max(rates.values()) * 2.2)
    axes.set_xlabel("texts a second, two cores")
    axes.spines[["top", "right"]].set_visible(False)
    part = PICTURE.with_name(f".{PICTURE.name}")
    figure.savefig(part, dpi=130, format="png", facecolor="white")
    part.replace(PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    main()
