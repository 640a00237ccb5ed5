"""The page of calls: how many, which were refused or failed, and the lines behind them."""
