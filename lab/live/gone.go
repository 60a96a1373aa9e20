package live

func waitUntilGone() {}
