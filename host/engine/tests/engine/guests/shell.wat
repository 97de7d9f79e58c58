;; An adapter of text messages around a core module that a test writes by hand. What a compiler would
;; never write can be written here: see `guests.rs` for what goes into the places marked with {{…}}.
(component
  (type $pair (tuple string string))
  (type $pairs (list $pair))

  (import "onerouter:outbound/http@1.0.0" (instance $http
    (type $method-cases (enum "get" "head" "post" "put" "patch" "delete"))
    (export "method" (type $method (eq $method-cases)))
    (type $text-pair (tuple string string))
    (type $text-pairs (list $text-pair))
    (type $octets (list u8))
    (type $body-cases (variant
      (case "empty") (case "json" string) (case "form" $text-pairs) (case "bytes" $octets)))
    (export "body" (type $body (eq $body-cases)))
    (type $maybe-text (option string))
    (type $texts (list string))
    (type $maybe-u32 (option u32))
    (type $request-fields (record
      (field "method" $method) (field "url" string) (field "headers" $text-pairs)
      (field "body" $body) (field "auth" $maybe-text) (field "want-headers" $texts)
      (field "timeout-ms" $maybe-u32)))
    (export "request" (type $request (eq $request-fields)))
    (type $response-fields (record
      (field "status" u16) (field "headers" $text-pairs) (field "body" $octets)))
    (export "response" (type $response (eq $response-fields)))
    (type $send-error-cases (variant
      (case "denied" string) (case "unreachable" string) (case "interrupted" string)
      (case "too-large" u64) (case "other" string)))
    (export "send-error" (type $send-error (eq $send-error-cases)))
    (type $sent (result $response (error $send-error)))
    (export "send" (func (param "request" $request) (result $sent)))
  ))
  (import "onerouter:host/context@1.0.0" (instance $context
    (type $ms u64)
    (export "timestamp-ms" (type $timestamp-ms (eq $ms)))
    (export "now" (func (result $timestamp-ms)))
  ))
  (import "onerouter:host/log@1.0.0" (instance $log
    (type $level-cases (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-cases)))
    (export "write" (func (param "level" $level) (param "message" string)))
  ))
  {{imports}}

  (core module $Memory
    (memory (export "memory") 2)
    ;; What the host gets when it asks for room: 0 room, 1 a trap, 2 an address outside, 3 an odd one.
    (global $mood (export "mood") (mut i32) (i32.const 0))
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-bytes i32) (param $align i32) (param $bytes i32)
      (result i32)
      (local $at i32)
      (if (i32.eq (global.get $mood) (i32.const 1)) (then unreachable))
      (if (i32.eq (global.get $mood) (i32.const 2)) (then (return (i32.const 0x7ffffff0))))
      (if (i32.eq (global.get $mood) (i32.const 3)) (then (return (i32.const 65537))))
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $bytes)))
      (block $done
        (loop $more
          (br_if $done (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0)))
          unreachable))
      (local.get $at))
  )
  (core instance $memory (instantiate $Memory))
  (core func $send (canon lower (func $http "send") (memory $memory "memory")
    (realloc (func $memory "realloc"))))
  (core func $now (canon lower (func $context "now")))
  (core func $write (canon lower (func $log "write") (memory $memory "memory")))
  {{functions}}

  (core module $Main
    (import "memory" "memory" (memory 2))
    (import "memory" "mood" (global $mood (mut i32)))
    (import "host" "send" (func $http
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "write" (func $write (param i32 i32 i32)))
    {{core-imports}}

    (data (i32.const 1024) "https://api.saboteur.example/v1/messages")
    (data (i32.const 1100) "token")
    (data (i32.const 1110) "{}")
    (data (i32.const 1120) "m1")
    (data (i32.const 1130) "queued")
    (data (i32.const 1140) "\ff\fe\fd")

    ;; Requests go to the messages of the provider; the answer is put at 2048.
    (func $get (call $http (i32.const 0) (i32.const 1024) (i32.const 40) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1100) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048)))
    (func $post (call $http (i32.const 2) (i32.const 1024) (i32.const 40) (i32.const 0) (i32.const 0)
      (i32.const 1) (i32.const 1110) (i32.const 2) (i32.const 1) (i32.const 1100) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048)))

    ;; A good answer, at 4096: id `m1`, status `queued`, and nothing else.
    ;;   +0 ok  +8 provider-id  +16 status  +24 segments  +32 cost  +52 sender  +64 failure
    ;;   +136 raw  +148 extra; an error has its case at +8 and its text at +16
    (func $ok (result i32)
      (i32.store (i32.const 4104) (i32.const 1120)) (i32.store (i32.const 4108) (i32.const 2))
      (i32.store (i32.const 4112) (i32.const 1130)) (i32.store (i32.const 4116) (i32.const 6))
      (i32.const 4096))

    {{heart}}
    (func (export "read") (param i32 i32) (result i32) (call $ok))
  )
  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "send" (func $send)) (export "now" (func $now)) (export "write" (func $write))
      {{core-exports}}))
  ))
  {{parts}}

  (type $cost (record (field "amount" string) (field "currency" string)))
  (type $failure (record
    (field "code" string) (field "message" string) (field "retryable" bool)
    (field "provider-code" (option string)) (field "provider-message" (option string))
    (field "http-status" (option u16)) (field "retry-after-ms" (option u64))))
  (type $field-error (record (field "pointer" string) (field "code" string) (field "detail" string)))
  (type $call-error (variant
    (case "declined" $failure) (case "unauthorized" $failure) (case "not-sent" $failure)
    (case "not-found" $failure) (case "invalid-state" $failure) (case "unsupported" string)
    (case "invalid" (list $field-error)) (case "unknown" $failure) (case "other" string)))
  (type $send-request (record
    (field "object-id" string) (field "attempt-id" string) (field "idempotency-key" string)
    (field "to" string) (field "sender" (option string)) (field "body" string)
    (field "media-urls" (list string)) (field "send-at" (option u64)) (field "extra" $pairs)))
  (type $message (record
    (field "provider-id" string) (field "status" string) (field "segments" (option u32))
    (field "cost" (option $cost)) (field "sender" (option string))
    (field "failure" (option $failure)) (field "raw" (option string)) (field "extra" $pairs)))
  (type $answer (result $message (error $call-error)))
  (func $sms-send (param "request" $send-request) (result $answer)
    (canon lift (core func $main "send") (memory $memory "memory") (realloc (func $memory "realloc"))))
  (func $sms-get (param "provider-id" string) (result $answer)
    (canon lift (core func $main "read") (memory $memory "memory") (realloc (func $memory "realloc"))))

  ;; A function can be exported only where its types have names.
  (component $Sms
    (type $cost-fields (record (field "amount" string) (field "currency" string)))
    (import "cost" (type $cost (eq $cost-fields)))
    (type $pair (tuple string string))
    (type $extra (list $pair))
    (type $failure-fields (record
      (field "code" string) (field "message" string) (field "retryable" bool)
      (field "provider-code" (option string)) (field "provider-message" (option string))
      (field "http-status" (option u16)) (field "retry-after-ms" (option u64))))
    (import "failure" (type $failure (eq $failure-fields)))
    (type $field-error-fields (record
      (field "pointer" string) (field "code" string) (field "detail" string)))
    (import "field-error" (type $field-error (eq $field-error-fields)))
    (type $call-error-cases (variant
      (case "declined" $failure) (case "unauthorized" $failure) (case "not-sent" $failure)
      (case "not-found" $failure) (case "invalid-state" $failure) (case "unsupported" string)
      (case "invalid" (list $field-error)) (case "unknown" $failure) (case "other" string)))
    (import "call-error" (type $call-error (eq $call-error-cases)))
    (type $send-request-fields (record
      (field "object-id" string) (field "attempt-id" string) (field "idempotency-key" string)
      (field "to" string) (field "sender" (option string)) (field "body" string)
      (field "media-urls" (list string)) (field "send-at" (option u64)) (field "extra" $extra)))
    (import "send-request" (type $send-request (eq $send-request-fields)))
    (type $message-fields (record
      (field "provider-id" string) (field "status" string) (field "segments" (option u32))
      (field "cost" (option $cost)) (field "sender" (option string))
      (field "failure" (option $failure)) (field "raw" (option string)) (field "extra" $extra)))
    (import "message" (type $message (eq $message-fields)))
    (type $answer (result $message (error $call-error)))
    (import "send" (func $send (param "request" $send-request) (result $answer)))
    (import "get" (func $get (param "provider-id" string) (result $answer)))

    ;; Each once more, in terms of those that have names by now.
    (export $Cost "cost" (type $cost))
    (export $Failure "failure" (type $failure))
    (export $FieldError "field-error" (type $field-error))
    (type $call-error-named (variant
      (case "declined" $Failure) (case "unauthorized" $Failure) (case "not-sent" $Failure)
      (case "not-found" $Failure) (case "invalid-state" $Failure) (case "unsupported" string)
      (case "invalid" (list $FieldError)) (case "unknown" $Failure) (case "other" string)))
    (export $CallError "call-error" (type $call-error-named))
    (export $SendRequest "send-request" (type $send-request))
    (type $message-named (record
      (field "provider-id" string) (field "status" string) (field "segments" (option u32))
      (field "cost" (option $Cost)) (field "sender" (option string))
      (field "failure" (option $Failure)) (field "raw" (option string)) (field "extra" $extra)))
    (export $Message "message" (type $message-named))
    (type $Answer (result $Message (error $CallError)))
    (export "send" (func $send) (func (param "request" $SendRequest) (result $Answer)))
    (export "get" (func $get) (func (param "provider-id" string) (result $Answer)))
  )
  (instance $sms (instantiate $Sms
    (with "cost" (type $cost)) (with "failure" (type $failure))
    (with "field-error" (type $field-error)) (with "call-error" (type $call-error))
    (with "send-request" (type $send-request)) (with "message" (type $message))
    (with "send" (func $sms-send)) (with "get" (func $sms-get))))
  (export "onerouter:sms/sms@1.0.0" (instance $sms))
)
