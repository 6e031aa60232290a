"""Bodies of each protocol to rows, and answers to bodies.

json_text.py        JSON that means one thing: no key twice, no nesting without end
instances.py        MLflow's scoring forms and Vertex AI's, which SageMaker's clients send too
delimited.py        CSV
arrow_stream.py     Arrow's streaming format
open_inference.py   the Open Inference Protocol v2, with `tensors.py` for its data, as JSON or binary
"""
