//! From a Linux crash dump, log or support bundle to its root cause and the commit that fixes it.
