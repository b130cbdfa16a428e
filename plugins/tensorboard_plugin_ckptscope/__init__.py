"""The TensorBoard tab: where the data stood at each step of a run. See http_api.md for its
routes.
"""
