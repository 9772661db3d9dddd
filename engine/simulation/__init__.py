"""Virtual time: the same kernel over inputs that carry their own instants, for scenarios and backtests.

Imports `engine.kernel`, `engine.flow`, the compiled `ext.kernel.fast_forward`, and what every floor shares. It knows
neither the store nor delivery.
Begin with `simulator.py`. `backtest.py` runs a flow over recorded events, `scenario/` runs the tests beside flows.
"""
