"""Step 9: a bundle's features of all real pictures, post-processed as in the worker, for the fusion models and the bridge.

    python -m mner.vision.features ../vision-int8/model.onnx

Writes `<work>/features/{flickr8k,tweets}.npz`: `ids` (keys of the shard), `grid`, `embedding`, `boxes`, `object_classes`, `object_scores`,
and, beyond what `ner` bundles read, the ten best `tags` with their `tag_scores`.
"""

from __future__ import annotations

from pathlib import Path

from .runner import Runner, shard_pictures
from .store import Paths, arguments

SOURCES = ("tweets", "flickr8k")


def prepare(graph: Path, paths: Paths, again: bool) -> None:
    runner = Runner(graph)
    for source in SOURCES:
        target = paths.work / "features" / f"{source}.npz"
        if target.exists() and not again:
            continue
        features, _ = runner.features(shard_pictures(paths, source))
        features.write(target)
        print(source, len(features.ids), flush=True)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--again", action="store_true", help="write files that are already there, too")
    options = parser.parse_args()
    prepare(options.graph, Paths(options.data, options.work), options.again)
