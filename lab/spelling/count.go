package spelling

import (
	"fmt"
	"strings"
)

// Count gives a number with its noun.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if y, ok := strings.CutSuffix(noun, "y"); ok {
		noun = y + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
