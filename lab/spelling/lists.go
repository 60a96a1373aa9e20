package spelling

import "strings"

// And lists words in a sentence: "a, b and c".
func And(words []string) string { return list(words, "and") }

// Or lists words in a sentence of which one is meant: "a, b or c".
func Or(words []string) string { return list(words, "or") }

func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// ThereIs begins a sentence that lists the names of what exists: "There are: a, b".
func ThereIs(names []string) string {
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	return "There " + verb + ": " + strings.Join(names, ", ")
}
