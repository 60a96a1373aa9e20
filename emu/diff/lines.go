package diff

import "slices"

// Edit is one line of an edit script: a line that two lists share, or one that only the old or the new one has.
type Edit struct {
	Old, New int // places in the lists, from 0; -1: not there
}

// maxEditCells bounds the table that Lines fills, and so its time and memory.
const maxEditCells = 4 << 20

// Lines returns the lines of both lists in one order, with as many shared as possible. Lists whose middles differ
// over thousands of lines share only their beginning and end.
func Lines(from, to []string) []Edit {
	head := 0
	for head < min(len(from), len(to)) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < min(len(from), len(to))-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	script := make([]Edit, 0, max(len(from), len(to)))
	for i := range head {
		script = append(script, Edit{i, i})
	}
	for _, e := range middleScript(from[head:len(from)-tail], to[head:len(to)-tail]) {
		if e.Old >= 0 {
			e.Old += head
		}
		if e.New >= 0 {
			e.New += head
		}
		script = append(script, e)
	}
	for i := tail; i > 0; i-- {
		script = append(script, Edit{len(from) - i, len(to) - i})
	}
	return script
}

func middleScript(a, b []string) []Edit {
	var script []Edit
	i, j := 0, 0
	if len(a)*len(b) <= maxEditCells {
		shared := longestShared(a, b)
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				script = append(script, Edit{i, j})
				i, j = i+1, j+1
			case shared[i+1][j] >= shared[i][j+1]:
				script = append(script, Edit{i, -1})
				i++
			default:
				script = append(script, Edit{-1, j})
				j++
			}
		}
	}
	for ; i < len(a); i++ {
		script = append(script, Edit{i, -1})
	}
	for ; j < len(b); j++ {
		script = append(script, Edit{-1, j})
	}
	return script
}

// longestShared returns for each pair of places the largest number of lines that the rests of both lists can share.
func longestShared(a, b []string) [][]int32 {
	cells := make([]int32, (len(a)+1)*(len(b)+1))
	rows := make([][]int32, len(a)+1)
	for i := range rows {
		rows[i] = cells[i*(len(b)+1):][:len(b)+1]
	}
	for i, v := range slices.Backward(a) {
		for j, w := range slices.Backward(b) {
			if v == w {
				rows[i][j] = rows[i+1][j+1] + 1
			} else {
				rows[i][j] = max(rows[i+1][j], rows[i][j+1])
			}
		}
	}
	return rows
}
