package compile

import (
	"fmt"
	"hash/fnv"
)

const maxInterfaceName = 15 // IFNAMSIZ, less the final zero

// interfaceName is the name where it fits, otherwise its start and a hash of the whole.
func interfaceName(name string) string { return fit(name, maxInterfaceName) }

func fit(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s-%06x", name[:limit-7], h.Sum32()&0xffffff)
}
