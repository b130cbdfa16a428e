"""Everything about the runs below a directory that the TensorBoard tab and ``ckptscope report``
show.

``places`` finds runs, ``reading`` reads one (checkpoints and recordings put together), ``summary``
counts it up; ``plot``, ``coverage`` and ``moment`` answer what is asked of it. All give frozen
dataclasses in the units of the contract; ``render/run_json.py`` writes them."""
