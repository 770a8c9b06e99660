"""The simulator: real hosts on links, routers and middleboxes of virtual time."""
