"""TCP: one subflow, or all there is after fall-back."""
