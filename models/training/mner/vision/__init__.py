"""The vision student: one small convolutional network that gives a tweet's picture to the fusion models.

In the order in which data flows:

| file            | what                                                                             | run as |
|-----------------|----------------------------------------------------------------------------------|--------|
| `store.py`      | where prepared arrays lie; sources, keys, captions and splits of the pictures    |        |
| `canvases.py`   | shards -> uint8 canvases of one size                                             | step 1 |
| `teacher.py`    | MobileNetV2's pooled features of several views of every picture                  | step 2 |
| `captions.py`   | sentence embeddings of the captions                                              | step 3 |
| `detections.py` | YOLOX-nano's boxes of every picture                                              | step 4 |
| `pseudo.py`     | teacher feature -> caption space: targets for pictures without captions          | step 5 |
| `views.py`      | crops, boxes through crops, colour: one training batch                           |        |
| `network.py`    | the student                                                                      |        |
| `objects.py`    | targets, loss, suppression and score of the object head                          |        |
| `losses.py`     | what the student learns from the teachers and from the captions                  |        |
| `train.py`      | the training loop, budgeted in seconds                                           | step 6 |
| `metrics.py`    | retrieval, AUC, agreement                                                        |        |
| `calibrate.py`  | object scores -> the worker's one threshold                                       |        |
| `shipped.py`    | student, normalisation, grid projection, decoded boxes: what the graph holds      |        |
| `runner.py`     | runs a graph as the worker does                                                  |        |
| `labels.py`     | the two label lists                                                              |        |
| `graph.py`      | student -> the ONNX graph of `docs/bundles.md`                                   |        |
| `quantize.py`   | fp32 graph -> static int8                                                        |        |
| `export.py`     | the bundle `models/vision-int8`                                                  | step 7 |
| `report.py`     | scores of a bundle on held-out pictures, and its speed                           | step 8 |
| `features.py`   | a bundle's features of all real pictures, post-processed as in the worker        | step 9 |
| `fixture.py`    | the tiny random bundle of the tests                                              |        |
"""
