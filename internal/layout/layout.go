// Package layout holds the structure of the source tree: its test fails when an import points the wrong way, when a
// package doesn't say what it is for, or when a file grows too long to read.
//
// The directions, of which none leads back:
//
//	cmd -> scenarios, lab/supervisor -> lab/server, lab/client, lab/engine -> lab/api, lab -> emu
//
// Of emu, lab uses only the data: emu itself, emu/diff and emu/text. Only lab/supervisor knows a lab and an emulator
// at once.
package layout
