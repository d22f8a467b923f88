package main

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"
)

// object is a stored object or part; its content lies in segments, one for each part.
type object struct {
	size     int64
	checksum string
	written  time.Time
	segments []body
}

type upload struct {
	key   string
	begun time.Time
	parts map[int]*object
}

// bucket is every object and upload; there is one bucket, whatever its name.
type bucket struct {
	mutex   sync.Mutex
	objects map[string]*object
	uploads map[string]*upload
	begun   int
}

type fault struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

type entry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
}

type prefix struct{ Prefix string }

type listing struct {
	XMLName        xml.Name `xml:"ListBucketResult"`
	IsTruncated    bool
	KeyCount       int
	Contents       []entry
	CommonPrefixes []prefix
}

type openUpload struct {
	Key       string
	UploadId  string
	Initiated string
}

type uploadListing struct {
	XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
	IsTruncated bool
	Upload      []openUpload
}

type begunUpload struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	Key      string
	UploadId string
}

type completed struct {
	XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
	Key     string
	ETag    string
}

type sentPart struct {
	PartNumber        int
	ETag              string
	Size              int64
	ChecksumCRC64NVME string `xml:",omitempty"`
}

type partListing struct {
	XMLName     xml.Name `xml:"ListPartsResult"`
	IsTruncated bool
	Part        []sentPart
}

func newBucket() *bucket {
	return &bucket{objects: map[string]*object{}, uploads: map[string]*upload{}}
}

func newObject(checksum string, content body) *object {
	return &object{size: content.size, checksum: checksum, written: time.Now(), segments: []body{content}}
}

func (one *object) send(connection net.Conn, start, end int64) error {
	for _, segment := range one.segments {
		if start < segment.size && start < end {
			until := min(segment.size, end)
			if err := segment.send(connection, start, until); err != nil {
				return err
			}
			start = until
		}
		start, end = start-segment.size, end-segment.size
	}
	return nil
}

func (bucket *bucket) put(key string, fresh *object, onlyNew bool) (gone *object, stored bool) {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	if onlyNew && bucket.objects[key] != nil {
		return fresh, false
	}
	gone = bucket.objects[key]
	bucket.objects[key] = fresh
	return gone, true
}

func (bucket *bucket) remove(key string) *object {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	gone := bucket.objects[key]
	delete(bucket.objects, key)
	return gone
}

func (bucket *bucket) get(key, ranged string) answer {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	found := bucket.objects[key]
	if found == nil {
		return refused(404, "NoSuchKey")
	}
	said := answer{code: 200, object: found, end: found.size, headers: map[string]string{
		"ETag": `"sink"`, "Accept-Ranges": "bytes", "Last-Modified": found.written.UTC().Format(http.TimeFormat),
	}}
	if found.checksum != "" {
		said.headers[digest] = found.checksum
		said.headers["X-Amz-Checksum-Type"] = "FULL_OBJECT"
	}
	if ranged == "" {
		return said
	}
	last := found.size - 1
	if count, _ := fmt.Sscanf(ranged, "bytes=%d-%d", &said.start, &last); count == 0 || said.start >= found.size {
		return refused(416, "InvalidRange")
	}
	said.code, said.end = 206, min(last+1, found.size)
	said.headers["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", said.start, said.end-1, found.size)
	delete(said.headers, digest)
	return said
}

func (bucket *bucket) list(query url.Values) answer {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	begin, delimiter, after := query.Get("prefix"), query.Get("delimiter"), query.Get("start-after")
	found, folders := listing{}, map[string]bool{}
	for key, one := range bucket.objects {
		if !strings.HasPrefix(key, begin) || key <= after {
			continue
		}
		if name, _, below := strings.Cut(key[len(begin):], delimiter); delimiter != "" && below {
			folders[begin+name+delimiter] = true
			continue
		}
		found.Contents = append(found.Contents, entry{key, stamp(one.written), `"sink"`, one.size})
	}
	for folder := range folders {
		found.CommonPrefixes = append(found.CommonPrefixes, prefix{folder})
	}
	sort.Slice(found.Contents, func(i, j int) bool { return found.Contents[i].Key < found.Contents[j].Key })
	sort.Slice(found.CommonPrefixes, func(i, j int) bool {
		return found.CommonPrefixes[i].Prefix < found.CommonPrefixes[j].Prefix
	})
	found.KeyCount = len(found.Contents)
	return answer{code: 200, document: found}
}

func (bucket *bucket) begin(key string) answer {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	bucket.begun++
	id := fmt.Sprintf("upload-%d", bucket.begun)
	bucket.uploads[id] = &upload{key: key, begun: time.Now(), parts: map[int]*object{}}
	return answer{code: 200, document: begunUpload{Key: key, UploadId: id}}
}

func (bucket *bucket) putPart(id string, number int, part *object) bool {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	found := bucket.uploads[id]
	if found != nil {
		found.parts[number] = part
	}
	return found != nil
}

func (bucket *bucket) finish(key, id, checksum string) (*object, answer) {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	found := bucket.uploads[id]
	if found == nil {
		return nil, refused(404, "NoSuchUpload")
	}
	whole := &object{checksum: checksum, written: time.Now()}
	for _, number := range found.numbers() {
		whole.size += found.parts[number].size
		whole.segments = append(whole.segments, found.parts[number].segments...)
	}
	gone := bucket.objects[key]
	bucket.objects[key] = whole
	delete(bucket.uploads, id)
	return gone, answer{code: 200, document: completed{Key: key, ETag: `"sink"`}}
}

func (bucket *bucket) abort(id string) *object {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	gone := &object{}
	if found := bucket.uploads[id]; found != nil {
		for _, number := range found.numbers() {
			gone.segments = append(gone.segments, found.parts[number].segments...)
		}
	}
	delete(bucket.uploads, id)
	return gone
}

func (bucket *bucket) listUploads(begin string) answer {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	found := uploadListing{}
	for id, one := range bucket.uploads {
		if strings.HasPrefix(one.key, begin) {
			found.Upload = append(found.Upload, openUpload{one.key, id, stamp(one.begun)})
		}
	}
	return answer{code: 200, document: found}
}

func (bucket *bucket) listParts(id string) answer {
	bucket.mutex.Lock()
	defer bucket.mutex.Unlock()
	found := bucket.uploads[id]
	if found == nil {
		return refused(404, "NoSuchUpload")
	}
	parts := partListing{}
	for _, number := range found.numbers() {
		part := found.parts[number]
		parts.Part = append(parts.Part, sentPart{number, fmt.Sprintf(`"part-%d"`, number), part.size, part.checksum})
	}
	return answer{code: 200, document: parts}
}

func (one *upload) numbers() []int {
	found := make([]int, 0, len(one.parts))
	for number := range one.parts {
		found = append(found, number)
	}
	sort.Ints(found)
	return found
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
