package spelling

import "testing"

func TestLists(t *testing.T) {
	for _, tt := range []struct {
		words            []string
		and, or, thereIs string
	}{
		{[]string{"a"}, "a", "a", "There is: a"},
		{[]string{"a", "b"}, "a and b", "a or b", "There are: a, b"},
		{[]string{"a", "b", "c"}, "a, b and c", "a, b or c", "There are: a, b, c"},
	} {
		if And(tt.words) != tt.and || Or(tt.words) != tt.or || ThereIs(tt.words) != tt.thereIs {
			t.Errorf("%q: %q, %q, %q", tt.words, And(tt.words), Or(tt.words), ThereIs(tt.words))
		}
	}
}
