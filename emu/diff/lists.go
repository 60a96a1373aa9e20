package diff

import "slices"

// unshared leaves out what two lists have alike in their order: of large lists that differ little, little is left. It
// may leave more than is different, never less.
func unshared[T any](a, b []T, same func(a, b T) bool) (restA, restB []T) {
	for len(a) > 0 && len(b) > 0 && same(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && same(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for len(a) > 0 && len(b) > 0 {
		i, j := meet(a, b, same)
		restA, restB = append(restA, a[:i]...), append(restB, b[:j]...)
		for a, b = a[i:], b[j:]; len(a) > 0 && len(b) > 0 && same(a[0], b[0]); {
			a, b = a[1:], b[1:]
		}
	}
	return append(restA, a...), append(restB, b...)
}

// reach is how far meet looks.
const reach = 32

// meet finds how far it is in two lists to where they go on alike, after something came, went, or was replaced.
func meet[T any](a, b []T, same func(a, b T) bool) (i, j int) {
	for n := 1; n <= reach && (n < len(a) || n < len(b)); n++ {
		switch {
		case n < len(a) && n < len(b) && same(a[n], b[n]):
			return n, n
		case n < len(a) && same(a[n], b[0]):
			return n, 0
		case n < len(b) && same(a[0], b[n]):
			return 0, n
		}
	}
	return 1, 1
}

// equal compares two lists, most of which are one.
func equal[T comparable](a, b []T) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return true
	}
	return slices.Equal(a, b)
}

// difference returns what only one of two lists has. Their order has no meaning.
func difference[T comparable](from, to []T) (removed, added []T) {
	if len(from) == len(to) && (len(from) == 0 || &from[0] == &to[0]) {
		return nil, nil
	}
	from, to = unshared(from, to, func(a, b T) bool { return a == b })
	return split(from, to, func(T) bool { return false })
}

// differenceAfter is difference where what is on a lost device is removed, and added if the new list has it.
func differenceAfter[T comparable](from, to []T, lost map[string]bool, device func(T) string) (removed, added []T) {
	if len(lost) == 0 {
		return difference(from, to)
	}
	return split(from, to, func(v T) bool { return lost[device(v)] })
}

func split[T comparable](from, to []T, lost func(T) bool) (removed, added []T) {
	kept := make(map[T]bool, len(from))
	for _, v := range from {
		if !lost(v) {
			kept[v] = true
		}
	}
	still := make(map[T]bool, len(to))
	for _, v := range to {
		still[v] = true
		if !kept[v] {
			added = append(added, v)
		}
	}
	for _, v := range from {
		if !kept[v] || !still[v] {
			removed = append(removed, v)
		}
	}
	return removed, added
}
