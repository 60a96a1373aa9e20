// Package spelling is about words for people: what somebody who mistyped one probably meant, and numbers with their
// nouns.
package spelling

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Nearest gives the known word that is closest to word, when one is close enough to be worth asking about. Case doesn't
// count as a difference, and of equally close words the first wins.
func Nearest(word string, known []string) (string, bool) {
	length := utf8.RuneCountInString(word)
	limit := max(1, length/3)
	best, found := "", false
	for _, k := range known {
		if diff := length - utf8.RuneCountInString(k); diff > limit || diff < -limit {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d <= limit && (!found || d < limit) {
			best, found, limit = k, true, d
		}
	}
	return best, found
}

// DidYouMean asks about the nearest known word; it is empty when none is near.
func DidYouMean(word string, known []string) string {
	if near, ok := Nearest(word, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// distance is the number of letters to insert, delete, replace, or swap with their neighbor, that make b out of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		next := make([]int, len(y)+1)
		next[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}
