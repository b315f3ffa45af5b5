// docker buildx bake             the production image for this machine
// docker buildx bake dev         the dev container's
// REGISTRY=registry.example.com/team docker buildx bake release --push    for amd64 and arm64, to your registry

variable "REGISTRY" {
  default = ""
}

variable "VERSION" {
  default = "0.1.0"
}

// Whether the tag `latest` moves: not for a pre-release, nor for a fix of an older version (deploy/release.sh).
variable "LATEST" {
  default = "true"
}

variable "REVISION" {
  default = "unknown"
}

function "name" {
  params = [image]
  result = REGISTRY == "" ? image : "${REGISTRY}/${image}"
}

group "default" {
  targets = ["production"]
}

target "production" {
  target = "production"
  tags   = concat(["${name("tallygate")}:${VERSION}"], LATEST == "true" ? ["${name("tallygate")}:latest"] : [])
  args = {
    VERSION  = VERSION
    REVISION = REVISION
  }
}

target "dev" {
  target = "dev"
  tags   = ["${name("tallygate-dev")}:latest"]
}

target "release" {
  inherits  = ["production"]
  platforms = ["linux/amd64", "linux/arm64"]
  attest    = ["type=provenance,mode=max", "type=sbom"]
}
