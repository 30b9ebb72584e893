"""The paper: priors, codes, anchor functions and what heads share."""
