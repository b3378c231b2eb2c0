module github.com/reqws/reqws/interop

go 1.25

replace github.com/reqws/reqws => ../
