"""What a worker's directory looks like after each step: see steps.c, which
has the same table; change both."""

import os
import stat

STEPS = 9


def apply(tree, k):
    """Step k, 1.., on {name: (kind, mode, size)}; mode and size of a file
    are those of its inode, which its links share: a list of two."""
    r = (k - 1) // STEPS
    old = r - 4
    file = f"g{r - r % 2}"
    match (k - 1) % STEPS:
        case 0:
            tree[f"f{r}"] = ["file", 0o600, 0]
        case 1:
            tree[file] = tree.pop(f"f{r}")
        case 2:
            tree[file][2] = k
        case 3:
            tree[file][1] = 0o601 + k % 7
        case 4:
            tree[f"l{r}"] = tree[file]
        case 5:
            tree[f"s{r}"] = ["link", None, None]
        case 6:
            tree[f"d{r}"] = ["dir", 0o700, None]
        case 7:
            if r < 4:
                tree[f"e{r}"] = ["dir", 0o700, None]
            else:
                del tree[f"d{old}"]
        case 8:
            if r < 4:
                tree[f"x{r}"] = ["dir", 0o700, None]
            else:
                del tree[f"l{old}"]


def look(path):
    """The same of a real directory."""
    tree = {}
    with os.scandir(path) as entries:
        for e in entries:
            st = e.stat(follow_symlinks=False)
            if stat.S_ISREG(st.st_mode):
                tree[e.name] = ["file", st.st_mode & 0o7777, st.st_size]
            elif stat.S_ISLNK(st.st_mode):
                tree[e.name] = ["link", None, None]
            else:
                tree[e.name] = ["dir", st.st_mode & 0o7777, None]
    return tree


def steps_seen(path, at_least, at_most):
    """After how many steps a directory looks like this one; None: never."""
    real = look(path)
    tree = {}
    for k in range(at_most + 1):
        if k:
            apply(tree, k)
        if k >= at_least and tree == real:
            return k
    return None
