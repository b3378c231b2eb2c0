package alarm

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

// Alarms ring in the order in which they are due, whatever the order in which they were set.
func TestAlarmsRingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		const n = 200
		rung := make(chan int, n)
		alarms := make([]Alarm, n)
		var c clock
		for _, i := range rand.Perm(n) {
			alarms[i].Ring = func() { rung <- i }
			c.set(&alarms[i], Now()+time.Duration(i)*time.Millisecond/10)
		}
		for i := range n {
			is.Equal(<-rung, i)
		}
	})
}

// An alarm that was stopped, or set again, does not ring for what was before.
func TestAlarmsAreSetAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(a *Alarm)
		want int
	}{
		{"set once", func(a *Alarm) { a.Set(time.Microsecond) }, 1},
		{"set earlier", func(a *Alarm) { a.Set(time.Hour); a.Set(time.Microsecond) }, 1},
		{"set later", func(a *Alarm) { a.Set(time.Minute); a.Set(time.Hour) }, 0},
		{"stopped", func(a *Alarm) { a.Set(time.Minute); a.Stop() }, 0},
		{"stopped, and set again", func(a *Alarm) { a.Set(time.Minute); a.Stop(); a.Set(time.Microsecond) }, 1},
		{"stopped without being set", func(a *Alarm) { a.Stop() }, 0},
	} {
		test := func(t *testing.T, after func()) {
			is := is.New(t)
			var mu sync.Mutex
			rung := 0
			a := Alarm{Ring: func() { mu.Lock(); defer mu.Unlock(); rung++ }}
			tt.set(&a)
			after()
			mu.Lock()
			defer mu.Unlock()
			is.Equal(rung, tt.want)
			a.Stop()
		}
		t.Run(tt.name, func(t *testing.T) {
			test(t, func() {
				last := make(chan bool)
				b := Alarm{Ring: func() { close(last) }}
				b.Set(2 * time.Millisecond) // behind it, on the same clock
				<-last
			})
		})
		t.Run(tt.name+", in a bubble", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, func() { time.Sleep(time.Second) })
			})
		})
	}
}

// An alarm may set itself again, and many may do so while others are set and stopped.
func TestAlarmsThatSetThemselves(t *testing.T) {
	const n, times = 50, 20
	var done sync.WaitGroup
	done.Add(n)
	for range n {
		left := times
		var a Alarm
		a.Ring = func() {
			if left--; left == 0 {
				done.Done()
				return
			}
			a.Set(time.Duration(rand.IntN(1000)) * time.Microsecond)
		}
		a.Set(0)
	}
	for range 1000 {
		var b Alarm
		b.Ring = func() { t.Error("rang though it was stopped") }
		b.Set(time.Hour)
		b.Stop()
	}
	done.Wait()
	theClock.mu.Lock()
	defer theClock.mu.Unlock()
	if len(theClock.queue) != 0 {
		t.Errorf("%d alarms are left", len(theClock.queue))
	}
}

// What is set in a bubble is of that bubble: its time does not wait for the clock outside.
func TestAlarmsOfABubble(t *testing.T) {
	outside := Alarm{Ring: func() {}}
	outside.Set(time.Hour)
	defer outside.Stop()
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			start, rung := time.Now(), make(chan time.Time, 1)
			a := Alarm{Ring: func() { rung <- time.Now() }}
			a.Set(time.Hour)
			is.Equal((<-rung).Sub(start), time.Hour)
			a.Set(time.Minute)
			is.Equal((<-rung).Sub(start), time.Hour+time.Minute)
		})
	}
	is.New(t).True(InBubble() == false)
}
