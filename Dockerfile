# syntax=docker/dockerfile:1
# The image of a node: one static binary, no shell, no root. A program of your own goes the same way:
#   docker build --build-arg MAIN=./cmd/shop --tag registry.example.com/shop .
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG MAIN=./cmd/sagaz
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /out/sagaz "$MAIN"

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/sagaz /usr/local/bin/sagaz
# The number, not the name: "restricted" refuses a pod whose user it cannot tell from root.
USER 65532:65532
EXPOSE 8080 7400
ENTRYPOINT ["/usr/local/bin/sagaz"]
