"""What the tests share: two hosts in virtual time, and one host against a hand-written peer."""
