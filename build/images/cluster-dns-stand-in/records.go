package main

import (
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Kept holds the objects of one kind as they are known now, by key and by address.
type Kept[T Object] struct {
	mutex   sync.RWMutex
	objects map[Key]T
	holders map[netip.Addr]map[Key]bool
	once    sync.Once
	// listed is closed when all objects were listed for the first time.
	listed chan struct{}
	// changed is when something became different the last time, in seconds since 1970.
	changed atomic.Int64
}

func newKept[T Object]() *Kept[T] {
	return &Kept[T]{
		objects: map[Key]T{}, holders: map[netip.Addr]map[Key]bool{}, listed: make(chan struct{}),
	}
}

// replace takes a whole list in the place of all that was known.
func (kept *Kept[T]) replace(all []T) {
	kept.mutex.Lock()
	kept.objects, kept.holders = make(map[Key]T, len(all)), map[netip.Addr]map[Key]bool{}
	for _, one := range all {
		kept.add(one)
	}
	kept.mutex.Unlock()
	kept.changed.Store(time.Now().Unix())
	kept.once.Do(func() { close(kept.listed) })
}

// change takes one object as it is now, or forgets it when it is gone.
func (kept *Kept[T]) change(one T, gone bool) {
	kept.mutex.Lock()
	kept.remove(one.key())
	if !gone {
		kept.add(one)
	}
	kept.mutex.Unlock()
	kept.changed.Store(time.Now().Unix())
}

func (kept *Kept[T]) add(one T) {
	key := one.key()
	kept.objects[key] = one
	for _, address := range one.addresses() {
		if kept.holders[address] == nil {
			kept.holders[address] = map[Key]bool{}
		}
		kept.holders[address][key] = true
	}
}

func (kept *Kept[T]) remove(key Key) {
	before, known := kept.objects[key]
	if !known {
		return
	}
	delete(kept.objects, key)
	for _, address := range before.addresses() {
		delete(kept.holders[address], key)
		if len(kept.holders[address]) == 0 {
			delete(kept.holders, address)
		}
	}
}

// get finds an object. What it gives is not changed afterwards.
func (kept *Kept[T]) get(key Key) (T, bool) {
	kept.mutex.RLock()
	defer kept.mutex.RUnlock()
	one, known := kept.objects[key]
	return one, known
}

// at gives the objects that have an address, in the order of their keys.
func (kept *Kept[T]) at(address netip.Addr) []T {
	kept.mutex.RLock()
	defer kept.mutex.RUnlock()
	var found []T
	for key := range kept.holders[address] {
		found = append(found, kept.objects[key])
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i].key(), found[j].key()
		if a.Namespace != b.Namespace {
			return a.Namespace < b.Namespace
		}
		return a.Name < b.Name
	})
	return found
}

// size is how many objects there are.
func (kept *Kept[T]) size() int {
	kept.mutex.RLock()
	defer kept.mutex.RUnlock()
	return len(kept.objects)
}

// Records is what is known of the cluster.
type Records struct {
	namespaces *Kept[Namespace]
	services   *Kept[Service]
	endpoints  *Kept[Endpoints]
}

func newRecords() *Records {
	return &Records{newKept[Namespace](), newKept[Service](), newKept[Endpoints]()}
}

// complete tells whether every kind of object was listed at least once.
func (records *Records) complete() bool {
	for _, listed := range records.listed() {
		select {
		case <-listed:
		default:
			return false
		}
	}
	return true
}

func (records *Records) listed() []chan struct{} {
	return []chan struct{}{records.namespaces.listed, records.services.listed, records.endpoints.listed}
}

// serial grows when a record changes.
func (records *Records) serial() uint32 {
	var latest int64
	for _, changed := range []int64{
		records.namespaces.changed.Load(), records.services.changed.Load(), records.endpoints.changed.Load(),
	} {
		if changed > latest {
			latest = changed
		}
	}
	return uint32(latest)
}

// endpointsOf gives the endpoints that a service has records of.
func (records *Records) endpointsOf(service Service) []Endpoint {
	endpoints, _ := records.endpoints.get(service.key())
	return endpoints.of(service)
}
